import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ref } from 'vue'

import { CONTEXT } from '@/context'
import { SHOWN } from '@/sidebar/shown'
import { start } from '@/start'
import JobsView from '@/views/jobs/JobsView.vue'

import { fakeHost, type FakeHost } from '../../support/fakeHost'
import { job } from '../../support/make'

let fake: FakeHost

beforeEach(() => {
  HTMLElement.prototype.showPopover = vi.fn() // which happy-dom has not
  Object.defineProperty(HTMLElement.prototype, 'clientHeight', { configurable: true, value: 600 })
  fake = fakeHost()
  fake.answer('GET /definitions', () => ({ definitions: [] }))
  fake.answer('GET /backends', () => ({ backends: [] }))
  fake.answer('PUT /listeners/tab-1', () => ({ lasts_s: 300 }))
})
afterEach(() => {
  Reflect.deleteProperty(HTMLElement.prototype, 'clientHeight')
  document.body.replaceChildren()
})

async function open(listed: ReturnType<typeof job>[], next: number | null = null) {
  fake.answer('GET /jobs', () => ({ jobs: listed, next }))
  const context = start(fake.app, fake.api)
  const wrapper = mount(JobsView, {
    attachTo: document.body,
    global: { provide: { [CONTEXT as symbol]: context, [SHOWN as symbol]: { visible: ref(true), state: context.store.state } } },
  })
  await flushPromises()
  return { context, wrapper }
}

describe('the list of jobs', () => {
  it('draws only the rows in sight of ten thousand', async () => {
    const { wrapper } = await open(Array.from({ length: 10_000 }, (_, n) => job(`j${n}`, 'succeeded', { created_at: n })))
    expect(wrapper.findAll('.job').length).toBeLessThan(40)
    expect(wrapper.find('[role=listitem]').attributes('aria-setsize')).toBe('10000')
  })

  it('follows what messages tell, over what was paged in before', async () => {
    const { context, wrapper } = await open([job('a', 'running')])
    expect(wrapper.find('.job').text()).toContain('running')
    context.store.dispatch({ type: 'jobsChanged', changes: [{ kind: 'succeeded', job: job('a', 'succeeded', { ended_at: 1 }) }] })
    await vi.waitFor(() => expect(wrapper.find('.job').text()).toContain('done'))
    expect(wrapper.findAll('.job')).toHaveLength(1)
  })

  it('asks before it cancels what runs, and not before it cancels what waits', async () => {
    fake.answer('POST /jobs/waits/cancel', () => ({ done: true }))
    const { wrapper } = await open([job('runs', 'running'), job('waits', 'queued')])
    const [runs, waits] = wrapper.findAll('.main')
    await runs?.trigger('keydown', { key: 'Delete' })
    expect(document.querySelector('.orc-dialog')?.textContent).toContain('Cancel this job?')
    expect(fake.requests).not.toContain('POST /jobs/runs/cancel')
    await waits?.trigger('keydown', { key: 'Delete' })
    await flushPromises()
    expect(fake.requests).toContain('POST /jobs/waits/cancel')
  })

  it('asks the same where the job is open, and keeps the focus when its buttons change', async () => {
    fake.answer('GET /jobs/runs', () => ({ ...job('runs', 'running'), backend: 'auto', values: {}, outputs: {}, attempts: [] }))
    fake.answer('GET /jobs/runs/events', () => ({ events: [] }))
    const { context, wrapper } = await open([job('runs', 'running')])
    await wrapper.get('.main').trigger('click')
    await flushPromises()
    const cancel = wrapper.findAll<HTMLElement>('.panel button').find((button) => button.text() === 'Cancel')
    cancel?.element.focus()
    await cancel?.trigger('click')
    expect(document.querySelector('.orc-dialog')?.textContent).toContain('Cancel this job?')
    document.querySelector<HTMLElement>('.orc-dialog-foot button')?.click()
    await flushPromises()
    expect(document.activeElement).toBe(cancel?.element)
    context.store.dispatch({ type: 'jobsChanged', changes: [{ kind: 'succeeded', job: job('runs', 'succeeded', { ended_at: 1 }) }] })
    await vi.waitFor(() => expect(document.activeElement?.getAttribute('aria-label')).toBe('Back to the list'))
  })

  it('moves a waiting job before its neighbour with Alt and the arrow keys', async () => {
    const bodies: unknown[] = []
    for (const id of ['first', 'second'])
      fake.answer(`POST /jobs/${id}/move`, (init) => {
        bodies.push([id, JSON.parse(String(init.body))])
        return { ...job(id), backend: 'auto', values: {}, outputs: {}, attempts: [] }
      })
    const { wrapper } = await open([job('first', 'queued', { created_at: 1 }), job('second', 'queued', { created_at: 2 })])
    const [first, second] = wrapper.findAll('.main')
    await second?.trigger('keydown', { key: 'ArrowUp', altKey: true })
    await first?.trigger('keydown', { key: 'ArrowDown', altKey: true })
    await flushPromises()
    expect(bodies).toEqual([
      ['second', { before: 'first' }],
      ['second', { before: 'first' }],
    ])
  })

  it('says what to do first where there is nothing', async () => {
    const { wrapper } = await open([])
    expect(wrapper.text()).toContain('No job yet')
  })
})
