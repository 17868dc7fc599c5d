import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ref, shallowRef } from 'vue'

import { CONTEXT } from '@/context'
import { SHOWN } from '@/sidebar/shown'
import { start } from '@/start'
import LibraryView from '@/views/library/LibraryView.vue'

import { fakeHost, type FakeHost } from '../../support/fakeHost'
import { definition } from '../../support/library'

let fake: FakeHost

function open() {
  const context = start(fake.app, fake.api)
  const shown = { visible: ref(true), state: shallowRef(context.store.state.value) }
  const wrapper = mount(LibraryView, {
    attachTo: document.body,
    global: { provide: { [CONTEXT as symbol]: context, [SHOWN as symbol]: shown } },
  })
  return { context, wrapper }
}

beforeEach(() => {
  HTMLElement.prototype.showPopover = vi.fn() // which happy-dom has not
  fake = fakeHost()
  fake.answer('GET /thumbnails', () => ({ thumbnails: { upscale: { url: '/orchestrator/thumbnails/upscale?sha256=1' } } }))
  fake.answer('GET /definitions', () => ({
    definitions: [definition('upscale', { name: 'Upscale', tags: ['photo'] }), definition('invert', { name: '<b>Invert</b>' })],
  }))
})

afterEach(() => {
  document.body.replaceChildren()
  vi.useRealTimers()
})

describe('the library', () => {
  it('shows names as text, whatever they contain', async () => {
    const { wrapper } = open()
    await flushPromises()
    expect(wrapper.text()).toContain('<b>Invert</b>')
    expect(wrapper.find('b').exists()).toBe(false)
  })

  it('shows thumbnails at the host’s own address', async () => {
    const { wrapper } = open()
    await flushPromises()
    expect(wrapper.find('img').attributes('src')).toBe('/api/orchestrator/thumbnails/upscale?sha256=1')
  })

  it('finds by words and by tag', async () => {
    const { wrapper } = open()
    await flushPromises()
    await wrapper.find('input[type=search]').setValue('PHOTO up')
    expect(wrapper.findAll('article')).toHaveLength(1)
    await wrapper.find('input[type=search]').setValue('')
    await wrapper.find('.tag').trigger('click')
    expect(wrapper.findAll('article')).toHaveLength(1)
  })

  it('follows changes on the server', async () => {
    const { wrapper } = open()
    await flushPromises()
    fake.answer('GET /definitions', () => ({ definitions: [] }))
    fake.message('orchestrator.library', { versions: {} })
    await flushPromises()
    expect(wrapper.text()).toContain('No workflow yet')
  })

  it('says why it cannot be read, and offers to try again', async () => {
    fake.answer('GET /definitions', () => Response.json({ error: { code: 'store', message: 'The disk is full.' } }, { status: 507 }))
    const { wrapper } = open()
    await flushPromises()
    expect(wrapper.find('[role=alert]').text()).toContain('The disk is full.')
    fake.answer('GET /definitions', () => ({ definitions: [definition('one')] }))
    await wrapper.find('[role=alert] button').trigger('click')
    await flushPromises()
    expect(wrapper.findAll('article')).toHaveLength(1)
  })

  it('deletes only after the time to take it back', async () => {
    vi.useFakeTimers()
    fake.answer('GET /definitions/upscale/uses', () => ({ definitions: [], unfinished_jobs: [] }))
    fake.answer('DELETE /definitions/upscale', () => ({ ok: true }))
    const { context, wrapper } = open()
    await vi.advanceTimersByTimeAsync(10)
    const removing = async () => {
      await wrapper.find('article button[aria-haspopup]').trigger('click')
      await vi.advanceTimersByTimeAsync(1)
      await wrapper.find('.orc-menu-item--danger').trigger('click')
      await vi.advanceTimersByTimeAsync(1)
    }
    await removing()
    expect(wrapper.findAll('article')).toHaveLength(1)
    context.undo.takeBack(context.undo.pending.value[0]?.id ?? -1)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(wrapper.findAll('article')).toHaveLength(2)
    expect(fake.requests).not.toContain('DELETE /definitions/upscale')
    await removing()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(fake.requests).toContain('DELETE /definitions/upscale')
  })
})
