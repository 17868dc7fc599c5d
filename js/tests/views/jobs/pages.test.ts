import { flushPromises } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'

import type { StoredFile } from '@/api/schemas/jobs'
import { pagesOf } from '@/views/jobs/pages'
import PagesDialog from '@/views/jobs/PagesDialog.vue'

import { fakeHost } from '../../support/fakeHost'
import { contextOf, mountInView } from '../../support/mounting'

const image = (name: string): StoredFile => ({ sha256: name, size_bytes: 1, media_type: 'image/png', url: `/v/${name}?x`, preview_url: `/p/${name}?x`, playback_url: null })
const batch = (name: string): StoredFile => ({ ...image(name), media_type: 'application/x-comfyui-value' })

describe('the images of a value', () => {
  it('are its files, and each of those in a batch', () => {
    expect(pagesOf([image('a'), batch('b')], new Map([['b', 2]])).map((page) => page.image)).toEqual([
      '/v/a?x',
      '/p/b?x&index=0',
      '/p/b?x&index=1',
    ])
  })

  it('are paged through with the arrow keys, and no further than they go', async () => {
    const fake = fakeHost()
    fake.answer('GET /p/b', () => new Response('', { headers: { 'X-Images': '3' } }))
    const wrapper = mountInView(PagesDialog, contextOf(fake), { name: 'result', files: [batch('b')], position: 0 })
    await flushPromises()
    expect(wrapper.text()).toContain('1 of 3')
    const press = async (key: string) => {
      document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))
      await flushPromises()
    }
    await press('ArrowRight')
    expect(wrapper.text()).toContain('2 of 3')
    expect(wrapper.get('img').attributes('src')).toContain('index=1')
    await press('End')
    await press('ArrowRight')
    expect(wrapper.text()).toContain('3 of 3')
    wrapper.unmount()
  })

  it('begin where they were clicked, whatever comes before', async () => {
    const fake = fakeHost()
    fake.answer('GET /p/b', () => new Response('', { headers: { 'X-Images': '3' } }))
    const wrapper = mountInView(PagesDialog, contextOf(fake), { name: 'result', files: [batch('b'), image('a')], position: 1 })
    await flushPromises()
    expect(wrapper.text()).toContain('4 of 4')
    wrapper.unmount()
  })
})
