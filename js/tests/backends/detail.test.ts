import { flushPromises, type VueWrapper } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import type { BackendAttempt } from '@/api/schemas/history'
import type { Context } from '@/context'
import { createTranslate } from '@/i18n/translate'
import { attemptText, spansOf } from '@/views/backends/detail/attempts'
import { optionsOf, seriesOf } from '@/views/backends/detail/chart'
import BackendTabs from '@/views/backends/detail/BackendTabs.vue'
import { eventText } from '@/views/backends/detail/events'
import { missing, rowsOf, searched } from '@/views/backends/detail/names'
import { chartsOf, measuredOf, metricsFor } from '@/views/backends/detail/series'
import { formatValue, increments, metricKey, unitOf } from '@/views/backends/detail/units'

import { type FakeHost, fakeHost } from '../support/fakeHost'
import { backend } from '../support/make'
import { contextOf, mountInView } from '../support/mounting'

const t = createTranslate(() => 'en')
const GB = 1024 ** 3

describe('what a backend lacks', () => {
  const master = { nodeClasses: ['KSampler', 'Upscale', 'OrchestratorMerge'], models: { loras: ['a/x.st', 'y.st'], vae: ['v.st'] } }

  it('is what the master has and it has not, whatever slash its system writes', () => {
    const peer = { nodeClasses: ['KSampler'], models: { loras: ['a\\x.st'], vae: ['v.st'] } }
    expect(missing(master, peer)).toEqual({ nodeClasses: ['Upscale'], models: { loras: ['y.st'] } })
  })

  it('does not count the nodes of this pack, which no backend runs', () => {
    expect(missing(master, { nodeClasses: ['KSampler', 'Upscale'], models: master.models })).toEqual({ nodeClasses: [], models: {} })
  })

  it('is searched by words in any order, of folder and name', () => {
    const rows = rowsOf(master, 'models')
    expect(searched(rows, 'x LORAS').map(({ name }) => name)).toEqual(['a/x.st'])
    expect(searched(rows, '')).toHaveLength(3)
  })
})

describe('the charts', () => {
  const series = (device: string, metric: string, avg: (number | null)[], more = {}) => ({
    device,
    device_name: device && `NVIDIA GeForce ${device}`,
    metric,
    avg,
    min: null,
    max: null,
    ...more,
  })
  const samples = (...all: ReturnType<typeof series>[]) => measuredOf({ from: 100, step_s: 10, steps: 3, series: all })

  it('are one for each metric, with a line for each GPU', () => {
    const charts = chartsOf(samples(series('4090', 'power_w', [1, 2, 3]), series('3090', 'power_w', [4, null, 6])), false)
    expect(charts).toHaveLength(1)
    expect(charts[0]?.data.at).toEqual([100, 110, 120])
    expect(charts[0]?.data.lines.map(({ label }) => label)).toEqual(['4090', '3090'])
  })

  it('end at what there is at most, such as the memory of the largest GPU', () => {
    const measured = samples(
      series('a', 'vram_used_bytes', [GB, GB, GB]),
      series('a', 'vram_total_bytes', [24 * GB, 24 * GB, null]),
      series('a', 'gpu_busy_ratio', [0.1, 0.2, 0.1]),
    )
    const found = Object.fromEntries(chartsOf(measured, true).map(({ metric, max }) => [metric, max]))
    expect(found).toEqual({ gpu_busy_ratio: 1, vram_used_bytes: 24 * GB })
  })

  it('show the main metrics first, and the others on request', () => {
    const measured = samples(series('', 'swap_used_bytes', [1, 1, 1]), series('', 'cpu_ratio', [1, 1, 1]), series('a', 'power_w', [1, 1, 1]))
    expect(chartsOf(measured, false).map(({ metric }) => metric)).toEqual(['power_w', 'cpu_ratio'])
    expect(chartsOf(measured, true).map(({ metric }) => metric)).toEqual(['power_w', 'cpu_ratio', 'swap_used_bytes'])
    expect(metricsFor(true)).toEqual([])
    expect(metricsFor(false)).toContain('vram_total_bytes')
  })

  it('leave out what was never measured', () => {
    expect(chartsOf(samples(series('a', 'power_w', [null, null, null])), true)).toEqual([])
  })

  it('have a band between the bounds of a single line, behind the averages', () => {
    const one = chartsOf(samples(series('a', 'power_w', [1, 2, 3], { min: [0, 1, 2], max: [2, 3, 4] })), true)[0]
    const style = { width: 300, height: 100, unit: 'w', max: undefined, language: 'en', from: 0, to: 1, group: 'g' } as const
    const options = one && optionsOf(one.data, { ...style, spans: () => [], onCursor: () => undefined })
    expect(one && seriesOf(one.data)).toEqual([[100, 110, 120], [1, 2, 3], [0, 1, 2], [2, 3, 4]])
    expect(options?.bands?.map((band) => band.series)).toEqual([[3, 2]])
    expect(options?.series).toHaveLength(4)
  })
})

describe('a metric', () => {
  it.each([
    ['gpu_busy_ratio', 0.42, '42%'],
    ['vram_used_bytes', 3 * GB, '3 GB'],
    ['network_sent_bytes_s', 2048, '2 KB/s'],
    ['temperature_c', 61.4, '61 °C'],
    ['power_w', 215.3, '215 W'],
    ['core_clock_hz', 2.52e9, '2.52 GHz'],
    ['ecc_errors', 3, '3'],
  ])('%s of %d is %s', (metric, value, text) => {
    expect(formatValue(value, unitOf(metric), 'en')).toBe(text)
  })

  it('of a newer agent has no name of ours', () => {
    expect(metricKey('power_w')).toBe('backends.metrics.power_w')
    expect(metricKey('tensor_busy_ratio')).toBeNull()
  })

  it('in bytes has an axis in powers of two', () => {
    expect(increments('bytes')).toContain(GB)
    expect(increments('w')).toContain(200)
  })
})

const attempt = (id: string, parts: Partial<BackendAttempt> = {}): BackendAttempt => ({
  id,
  job_id: `job-${id}`,
  definition: 'portrait',
  number: 1,
  status: 'succeeded',
  cause: null,
  message: '',
  created_at: 10,
  started_at: 20,
  ended_at: 30,
  peak_vram_bytes: 3 * GB,
  energy_j: 7_200,
  ...parts,
})

describe('the jobs on the time axis', () => {
  it('reach until now as long as they run, and are not there before they start', () => {
    const spans = spansOf([attempt('a'), attempt('b', { status: 'running', ended_at: null }), attempt('c', { started_at: null })], 99, t, (id) => id)
    expect(spans.map(({ from, to }) => [from, to])).toEqual([
      [20, 30],
      [20, 99],
    ])
    expect(spans[0]?.label).toBe('portrait · done')
  })

  it('have a status of a newer server as it is', () => {
    expect(attemptText({ status: 'paused' }, t)).toBe('paused')
  })
})

describe('the page of a backend', () => {
  let fake: FakeHost
  let context: Context
  let page: VueWrapper

  beforeEach(() => {
    fake = fakeHost()
    context = contextOf(fake)
    context.store.dispatch({ type: 'snapshot', backends: [backend('local', { local: true }), backend('desk')], activeJobs: [] })
    fake.answer('GET /backends/desk/samples', () => ({ from: 0, step_s: 1, steps: 0, series: [] }))
    fake.answer('GET /backends/desk/attempts', () => ({ attempts: [attempt('a', { status: 'failed', message: 'Out of memory.' })] }))
    fake.answer('GET /backends/desk/node-classes', () => ({ node_classes: ['KSampler'] }))
    fake.answer('GET /backends/desk/models', () => ({ models: { loras: ['ink.safetensors'] } }))
    fake.answer('GET /backends/local/node-classes', () => ({ node_classes: ['KSampler', 'Upscale'] }))
    fake.answer('GET /backends/local/models', () => ({ models: { loras: ['ink.safetensors', 'oil.safetensors'] } }))
    page = mountInView(BackendTabs, context, { backend: backend('desk') })
  })

  afterEach(() => page.unmount())

  async function show(tab: string): Promise<void> {
    await page.get(`[role=tab][id$="tab-${tab}"]`).trigger('click')
    await flushPromises()
  }

  it('says so when nothing was measured', async () => {
    await flushPromises()
    expect(page.text()).toContain('Nothing was measured in this time.')
  })

  it('tells what became of our jobs there, and why', async () => {
    await show('history')
    expect(page.text()).toContain('failed')
    expect(page.text()).toContain('Out of memory.')
    expect(page.text()).toContain('3 GB · 2 Wh')
    await page.get('.orc-link').trigger('click')
    expect(page.emitted('job')).toEqual([['job-a']])
  })

  it('tells what happened to it, why, and until when', async () => {
    fake.answer('GET /backends/desk/events', () => ({
      events: [
        { at: 30, kind: 'suspended', reason: 'Three jobs failed.', until: 60 },
        { at: 20, kind: 'agent_found', reason: '1.2.0', until: null },
        { at: 10, kind: 'online', reason: '', until: null },
      ],
    }))
    await show('events')
    const rows = page.findAll('.orc-events > li').map((row) => row.text())
    expect(rows).toHaveLength(3)
    expect(rows[0]).toMatch(/suspended.*Three jobs failed\. · until .*1970/)
    expect(rows[1]).toContain('pack foundVersion 1.2.0')
    expect(rows[2]).toMatch(/online$/)
  })

  it('asks again for its events when it changes, and only then', async () => {
    let kinds = ['online']
    fake.answer('GET /backends/desk/events', () => ({ events: kinds.map((kind, at) => ({ at, kind, reason: '', until: null })) }))
    await show('events')
    kinds = ['offline', 'online']
    await page.setProps({ backend: backend('desk', { queue_remaining: 3 }) })
    await flushPromises()
    expect(page.findAll('.orc-events > li')).toHaveLength(1)
    await page.setProps({ backend: backend('desk', { status: 'offline', since: 5 }) })
    await flushPromises()
    expect(page.findAll('.orc-events > li').map((row) => row.get('.orc-badge').text())).toEqual(['offline', 'online'])
  })

  it('shows an event of a newer server as it is', () => {
    expect(eventText({ at: 0, kind: 'moved', reason: '', until: null }, t)).toBe('moved')
  })

  it('lists what is missing there', async () => {
    await show('missing')
    expect(page.findAll('[role=listitem]').map((row) => row.text())).toEqual(['node/Upscale', 'loras/oil.safetensors'])
  })

  it('can be tried again when the backend did not answer', async () => {
    fake.answer('GET /backends/desk/models', () => Response.json({ error: { code: 'x', message: 'No answer.' } }, { status: 502 }))
    await show('models')
    expect(page.get('[role=alert]').text()).toBe('No answer.')
    fake.answer('GET /backends/desk/models', () => ({ models: { loras: ['ink.safetensors'] } }))
    await page.findAll('button').find((button) => button.text() === 'Try again')?.trigger('click')
    await flushPromises()
    expect(page.text()).toContain('ink.safetensors')
  })

  it('is led through by arrow keys', async () => {
    const selected = () => page.get('[role=tab][aria-selected=true]').text()
    await page.get('[role=tablist]').trigger('keydown', { key: 'ArrowLeft' })
    expect(selected()).toBe('About')
    await page.get('[role=tablist]').trigger('keydown', { key: 'Home' })
    expect(selected()).toBe('Charts')
  })
})
