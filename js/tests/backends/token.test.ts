import { flushPromises, type VueWrapper } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import TokenDialog from '@/views/backends/TokenDialog.vue'

import { type FakeHost, fakeHost } from '../support/fakeHost'
import { contextOf, mountInView } from '../support/mounting'

let fake: FakeHost
let view: VueWrapper

async function open(token: string | null): Promise<void> {
  fake = fakeHost()
  fake.answer('POST /agent/token', () => ({ token }))
  fake.answer('POST /agent/token/rotate', () => ({ token: 'new' }))
  fake.answer('DELETE /agent/token', () => ({ token: null }))
  view = mountInView(TokenDialog, contextOf(fake))
  await flushPromises()
}

async function press(text: string): Promise<void> {
  const found = view.findAll('button').find((one) => one.text() === text)
  if (!found) throw new Error(`There is no button ${text}`)
  await found.trigger('click')
  await flushPromises()
}

afterEach(() => view.unmount())

describe('this server’s token', () => {
  beforeEach(() => open('secret'))

  it('is shown', () => {
    expect(view.get('output').text()).toBe('secret')
  })

  it('is replaced only after a question', async () => {
    await press('New token')
    expect(view.get('output').text()).toBe('secret')
    expect(view.text()).toContain('must be given the new one')
    await press('New token')
    expect(view.get('output').text()).toBe('new')
  })

  it('is kept when the question is answered with no', async () => {
    await press('Revoke')
    await press('Cancel')
    expect(fake.requests).toEqual(['POST /agent/token'])
  })

  it('is gone once it is revoked', async () => {
    await press('Revoke')
    await press('Revoke')
    expect(view.find('output').exists()).toBe(false)
    expect(view.text()).toContain('only this machine gets in')
  })
})

describe('a server without a token', () => {
  it('gets one without a question', async () => {
    await open(null)
    await press('New token')
    expect(view.get('output').text()).toBe('new')
  })
})

describe('a browser on another machine', () => {
  it('is told why it sees none', async () => {
    fake = fakeHost()
    const error = { code: 'token_wanted', message: 'This peer wants its token from other machines.', details: {} }
    fake.answer('POST /agent/token', () => Response.json({ error }, { status: 401 }))
    view = mountInView(TokenDialog, contextOf(fake))
    await flushPromises()
    expect(view.get('[role=alert]').text()).toContain('wants its token')
  })
})
