import { flushPromises, type VueWrapper } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import type { Context } from '@/context'
import { UNDO_MS } from '@/ui/undo'
import BackendsView from '@/views/backends/BackendsView.vue'

import { type FakeHost, fakeHost } from '../support/fakeHost'
import { backend, change, progress } from '../support/make'
import { contextOf, mountInView } from '../support/mounting'

let fake: FakeHost
let context: Context
let view: VueWrapper

const local = backend('local', { local: true, name: 'This server' })

beforeEach(() => {
  fake = fakeHost()
  context = contextOf(fake)
  context.store.dispatch({ type: 'snapshot', backends: [local, backend('desk')], activeJobs: [] })
  view = mountInView(BackendsView, context)
})

afterEach(() => view.unmount())

function button(text: string) {
  const found = view.findAll('button').find((one) => one.text() === text)
  if (!found) throw new Error(`There is no button ${text}`)
  return found
}

async function choose(name: string, entry: string): Promise<void> {
  await view.get(`[aria-label="Actions for ${name}"]`).trigger('click')
  await flushPromises()
  await button(entry).trigger('click')
  await flushPromises()
}

describe('the backends', () => {
  it('are told apart by what they do and how they are', async () => {
    context.store.dispatch({ type: 'jobsChanged', changes: [change('j', 'running', 'desk')] })
    context.store.dispatch({ type: 'progressed', jobs: [progress('j', 'desk', 0.4)] })
    await flushPromises()
    expect(view.text()).toContain('2 of 2 online')
    expect(view.text()).toContain('upscale')
    expect(view.get('[role=progressbar]').attributes('aria-valuenow')).toBe('40')
  })

  it('are drawn with every reading while they work for us, and with every second one while they do not', async () => {
    const clock = vi.spyOn(performance, 'now')
    const read = async (at: number, ratio: number) => {
      clock.mockReturnValue(at * 1000)
      const machine = { source: 'agent', interval_s: 1, problem: '', devices: [], at, host: { cpu_ratio: ratio } }
      context.store.dispatch({ type: 'measured', machines: ['local', 'desk'].map((id) => ({ ...machine, backend_id: id })) })
      await flushPromises()
      return view.findAll('article').map((card) => /(\d+)%/.exec(card.text())?.[1])
    }
    context.store.dispatch({ type: 'jobsChanged', changes: [change('j', 'running', 'desk')] })
    expect(await read(10, 0.1)).toEqual(['10', '10'])
    expect(await read(11, 0.2)).toEqual(['10', '20'])
    expect(await read(12, 0.3)).toEqual(['30', '30'])
    clock.mockRestore()
  })

  it('say why one is offline', async () => {
    const away = backend('desk', { status: 'offline', last_error: 'Is ComfyUI running there?' })
    context.store.dispatch({ type: 'backendsListed', backends: [local, away] })
    await flushPromises()
    expect(view.text()).toContain('Is ComfyUI running there?')
  })

  it('say what to do first when there is none', async () => {
    context.store.dispatch({ type: 'backendsListed', backends: [local] })
    await flushPromises()
    expect(view.text()).toContain('No backend yet')
  })

  it('never show a name as anything but text', async () => {
    context.store.dispatch({ type: 'backendsListed', backends: [backend('x', { name: '<img src=x onerror=alert(1)>', tags: ['<b>'] })] })
    await flushPromises()
    expect(view.find('img').exists()).toBe(false)
    expect(view.text()).toContain('<img src=x onerror=alert(1)>')
  })
})

describe('removing a backend', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('hides it at once and can be taken back', async () => {
    await choose('desk', 'Remove')
    expect(view.text()).not.toContain('desk')
    context.undo.takeBack(context.undo.pending.value[0]?.id ?? 0)
    await flushPromises()
    expect(view.text()).toContain('desk')
    await vi.advanceTimersByTimeAsync(UNDO_MS)
    expect(fake.requests).toEqual([])
  })

  it('is carried out when nobody takes it back', async () => {
    fake.answer('DELETE /backends/desk', () => ({}))
    await choose('desk', 'Remove')
    await vi.advanceTimersByTimeAsync(UNDO_MS)
    expect(fake.requests).toEqual(['DELETE /backends/desk'])
    expect(context.store.state.value.backends.has('desk')).toBe(false)
  })

  it('brings it back with the reason when the server refuses', async () => {
    fake.answer('DELETE /backends/desk', () => Response.json({ error: { code: 'conflict', message: 'Not now.' } }, { status: 409 }))
    await choose('desk', 'Remove')
    await vi.advanceTimersByTimeAsync(UNDO_MS)
    await flushPromises()
    expect(view.text()).toContain('desk')
    expect(fake.toasts[0]?.detail).toBe('Not now.')
  })
})

it('the page of a backend is left by Escape, and the focus is on its card again', async () => {
  fake.answer('GET /backends/desk/samples', () => ({ from: 0, step_s: 1, steps: 0, series: [] }))
  fake.answer('GET /backends/desk/attempts', () => ({ attempts: [] }))
  await button('desk').trigger('click')
  await flushPromises()
  expect(view.findAll('[role=tab]').length).toBeGreaterThan(3)
  await view.get('[role=tab]').trigger('keydown', { key: 'Escape' })
  await flushPromises()
  expect(view.find('[role=tab]').exists()).toBe(false)
  expect(document.activeElement?.textContent?.trim()).toBe('desk')
})

it('a backend that is drained says so, and can be given jobs again', async () => {
  fake.answer('POST /backends/desk/drain', () => backend('desk', { draining: true }))
  fake.answer('POST /backends/desk/resume', () => backend('desk'))
  await choose('desk', 'Drain: no new jobs')
  expect(view.text()).toContain('draining')
  await choose('desk', 'Give it jobs again')
  expect(view.text()).not.toContain('draining')
})

describe('cancelling our jobs on a backend', () => {
  it('asks first, because work is lost', async () => {
    context.store.dispatch({ type: 'jobsChanged', changes: [change('a', 'running', 'desk')] })
    fake.answer('POST /backends/desk/interrupt', () => ({ job_ids: ['a'] }))
    await choose('desk', 'Cancel our jobs there …')
    expect(fake.requests).not.toContain('POST /backends/desk/interrupt')
    await button('Cancel them').trigger('click')
    await flushPromises()
    expect(fake.toasts[0]?.detail).toBe('1 job is cancelled.')
  })
})

describe('adding a backend', () => {
  const capabilities = {
    comfyui_version: '0.3.75',
    python_version: '3.12',
    os: 'posix',
    gpus: [],
    max_upload_bytes: null,
    node_classes: 512,
    models: { loras: 3 },
    taken_at: 0,
  }

  async function type(address: string): Promise<void> {
    await button('Add backend').trigger('click')
    await view.get('input[placeholder="http://192.168.1.5:8188"]').setValue(address)
    await view.get('form').trigger('submit')
    await flushPromises()
  }

  it('takes an address and Enter: it is tried, named and added', async () => {
    fake.answer('POST /backends/test', () => ({ usable: true, capabilities, problem: null }))
    fake.answer('POST /backends', (init) => ({ ...backend('new'), ...(JSON.parse(String(init.body)) as object), credentials: local.credentials }))
    await type('attic.lan')
    expect(fake.requests).toEqual(['POST /backends/test', 'POST /backends'])
    expect(context.store.state.value.backends.get('new')).toMatchObject({ name: 'attic', base_url: 'http://attic.lan:8188' })
    expect(view.find('form').exists()).toBe(false)
  })

  it('says what is wrong and adds nothing, unless the user insists', async () => {
    const problem = { code: 'backend_unreachable', message: 'Start it with --listen.' }
    fake.answer('POST /backends/test', () => ({ usable: false, capabilities: null, problem }))
    fake.answer('POST /backends', () => backend('new'))
    await type('attic')
    expect(view.text()).toContain('Start it with --listen.')
    expect(fake.requests).toEqual(['POST /backends/test'])
    await button('Add anyway').trigger('click')
    await flushPromises()
    expect(context.store.state.value.backends.has('new')).toBe(true)
  })

  it('shows what the server refuses at the field it is about', async () => {
    const error = { code: 'invalid_request', message: 'no', details: { problems: { base_url: 'This address is taken.' } } }
    fake.answer('POST /backends/test', () => Response.json({ error }, { status: 422 }))
    await type('attic')
    expect(view.get('.orc-field .orc-error').text()).toBe('This address is taken.')
  })
})
