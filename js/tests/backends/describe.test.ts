import { describe, expect, it } from 'vitest'

import { createTranslate } from '@/i18n/translate'
import type { Machine } from '@/api/schemas/telemetry'
import { CURVE_LENGTH, extend, type Track } from '@/state/telemetry'
import { describeGpus, foreignPrompts, gpuName, matches, statusText, toneOf } from '@/views/backends/describe'
import { draftOf, emptyForm, formOf, tagsOf } from '@/views/backends/form'
import { deviceMeters, formatShare, hostMeters } from '@/views/backends/meters'

import { backend } from '../support/make'

const t = createTranslate(() => 'en')
const GB = 1024 ** 3
const card = (name: string) => ({ name, type: 'cuda', vram_total_bytes: 24 * GB, vram_free_bytes: GB })

describe('a GPU', () => {
  it.each([
    ['cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync', 'RTX 4090'],
    ['NVIDIA A100-SXM4-80GB', 'A100-SXM4-80GB'],
    ['AMD Radeon RX 7900 XTX', 'AMD Radeon RX 7900 XTX'],
    ['cpu', 'CPU'],
  ])('reported as %s is %s', (reported, name) => {
    expect(gpuName(reported)).toBe(name)
  })

  it('that is there twice is named once', () => {
    expect(describeGpus([card('cuda:0 RTX 4090'), card('cuda:1 RTX 4090'), card('L4')], t)).toBe('2 × RTX 4090 (24 GB), L4 (24 GB)')
  })
})

describe('a backend', () => {
  it('that was disabled is called so, whatever its health', () => {
    const off = backend('a', { enabled: false, status: 'offline' })
    expect([statusText(off, t), toneOf(off)]).toEqual(['disabled', 'neutral'])
  })

  it('has the prompts of others apart from ours', () => {
    expect(foreignPrompts(backend('a', { queue_remaining: 5, in_flight: 2 }))).toBe(3)
    expect(foreignPrompts(backend('a', { queue_remaining: 0, in_flight: 1 }))).toBe(0)
  })

  it('is found by name, address and tag', () => {
    const one = backend('Desk', { base_url: 'http://10.0.0.7:8188', tags: ['fast'] })
    expect(['desk', '10.0.0.7', 'FAST', ' ', 'slow'].map((search) => matches(one, search))).toEqual([true, true, true, true, false])
  })
})

describe('the dialog', () => {
  it('sends tags once each and the address as it is understood', () => {
    const draft = draftOf({ ...emptyForm(), address: 'desk', name: ' Desk ', tags: 'fast, big，fast,,' })
    expect(draft).toMatchObject({ base_url: 'http://desk:8188', name: 'Desk', tags: ['fast', 'big'] })
    expect(tagsOf('')).toEqual([])
  })

  it('leaves stored credentials alone unless it is told to replace them', () => {
    const credentials = { has_bearer_token: true, username: null, has_password: false, header_names: [], has_agent_token: false }
    const form = formOf(backend('a', { credentials }))
    expect(draftOf(form)).not.toHaveProperty('credentials')
    expect(draftOf({ ...form, withCredentials: true, bearerToken: 'new' }).credentials).toEqual({ bearer_token: 'new' })
  })
})

describe('the curves of a card', () => {
  const sample = (at: number, values: Record<string, number>): Machine => ({
    backend_id: 'a',
    at,
    source: 'agent',
    interval_s: 1,
    host: {},
    devices: [{ id: 'g', name: 'L4', state: 'ok', message: '', throttled_by: [], values }],
    problem: '',
  })
  const track = (...samples: Machine[]) => samples.reduce<Track | undefined>(extend, undefined)

  it('have a gap where something was not measured', () => {
    const device = track(sample(1, { power_w: 10 }), sample(2, {}), sample(3, { power_w: 30 }))?.devices[0]
    expect(device?.curves['power_w']).toEqual([10, null, 30])
    expect(device?.curves['temperature_c']).toBeUndefined()
  })

  it('end at two minutes, and a sample that is told twice counts once', () => {
    const samples = Array.from({ length: CURVE_LENGTH + 9 }, (_, at) => sample(at, { power_w: at }))
    const device = track(...samples, sample(3, { power_w: 0 }))?.devices[0]
    expect(device?.curves['power_w']).toHaveLength(CURVE_LENGTH)
    expect(device?.curves['power_w']?.at(-1)).toBe(CURVE_LENGTH + 8)
  })

  it('are there for what a device measures, with memory as a share of the whole', () => {
    const device = track(sample(1, { vram_used_bytes: 9.25 * GB, vram_total_bytes: 24 * GB }))?.devices[0]
    expect(device && deviceMeters(device, t)).toMatchObject([{ name: 'VRAM', value: '9.3 / 24 GB', max: 24 * GB }])
    const machine = extend(undefined, { ...sample(1, {}), devices: [], host: { cpu_ratio: 0.5, ram_used_bytes: GB, ram_total_bytes: 2 * GB } })
    expect(hostMeters(machine, t).map(({ value }) => value)).toEqual(['50%', '1 / 2 GB'])
    expect(formatShare(512 * 1024 ** 2, 2 * GB, 'en')).toBe('0.5 / 2 GB')
  })
})
