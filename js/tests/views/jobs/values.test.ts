import { mount } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'

import type { JobValue, StoredFile } from '@/api/schemas/jobs'
import { CONTEXT } from '@/context'
import { start } from '@/start'
import ValueList from '@/views/jobs/ValueList.vue'

import { fakeHost } from '../../support/fakeHost'

const BLOB = 'application/x-comfyui-value'

function file(media_type: string, preview_url: string | null = null, playback_url: string | null = null): StoredFile {
  return { sha256: 'a'.repeat(64), size_bytes: 2048, media_type, url: '/orchestrator/values/a?x=1', preview_url, playback_url }
}

function list(value: Partial<JobValue>) {
  const fake = fakeHost()
  const context = start(fake.app, fake.api)
  const values = { result: { type: 'IMAGE', data: null, files: [], ...value } }
  return mount(ValueList, { props: { values }, global: { provide: { [CONTEXT as symbol]: context } } })
}

describe('the values of a job', () => {
  it('shows the picture of an image that an agent holds, and links to the value itself', () => {
    const wrapper = list({ files: [file(BLOB, '/orchestrator/values/a/preview')] })
    expect(wrapper.get('img').attributes('src')).toContain('/orchestrator/values/a/preview')
    expect(wrapper.get('a').attributes('href')).toContain('/orchestrator/values/a?x=1')
  })

  it('writes all digits of a number that has more than numbers have here', () => {
    expect(list({ type: 'INT', data: 18446744073709551613n }).text()).toContain('18446744073709551613')
  })

  it('offers a value without a picture as a file', () => {
    const wrapper = list({ type: 'LATENT', files: [file(BLOB)] })
    expect(wrapper.find('img').exists()).toBe(false)
    expect(wrapper.get('a[download]').text()).toContain('2 KB')
  })

  it('offers the file where its picture does not come', async () => {
    const wrapper = list({ files: [file(BLOB, '/orchestrator/values/a/preview')] })
    await wrapper.get('img').trigger('error')
    expect(wrapper.find('img').exists()).toBe(false)
    expect(wrapper.find('a[download]').exists()).toBe(true)
  })

  it('shows an image file itself where the server makes no small pictures', () => {
    const wrapper = list({ files: [file('image/png')] })
    expect(wrapper.get('img').attributes('src')).toContain('/orchestrator/values/a?x=1')
  })

  it('plays the video and the sound in a value that an agent holds', () => {
    const held = [file(BLOB, null, '/orchestrator/values/a/playback')]
    for (const [type, tag] of [['VIDEO', 'video'], ['AUDIO', 'audio']] as const) {
      const player = list({ type, files: held }).get(tag)
      expect(player.attributes('src')).toContain('/orchestrator/values/a/playback')
      expect(player.attributes()).toMatchObject({ controls: '', preload: 'none', 'aria-label': 'result 1' })
    }
  })

  it('plays a file that is a video, and one from a server that does not say so', () => {
    for (const told of ['/orchestrator/values/a?x=1', null]) {
      expect(list({ type: 'VIDEO', files: [file('video/mp4', null, told)] }).get('video').attributes('src')).toContain('/values/a?x=1')
    }
  })

  it('offers the file where it cannot be played', async () => {
    const wrapper = list({ type: 'VIDEO', files: [file(BLOB, null, '/orchestrator/values/a/playback')] })
    await wrapper.get('video').trigger('error')
    expect(wrapper.find('video').exists()).toBe(false)
    expect(wrapper.find('a[download]').exists()).toBe(true)
  })
})
