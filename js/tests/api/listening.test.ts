import { flushPromises } from '@vue/test-utils'
import { beforeEach, expect, it } from 'vitest'

import { createClient } from '@/api/client'
import { createListening, type Listening } from '@/api/listening'

import { type FakeHost, fakeHost } from '../support/fakeHost'

let fake: FakeHost
let listening: Listening
let asked: unknown[]

beforeEach(() => {
  fake = fakeHost()
  asked = []
  fake.answer('PUT /listeners/tab-1', (init) => {
    asked.push(JSON.parse(String(init.body)))
    return { expires_in_s: 300 }
  })
  listening = createListening(fake.host, createClient((route, init) => fake.api.fetchApi(route, init)).system)
})

it('what several parts of the page want is asked for together', async () => {
  listening.want('cards', { telemetry: true })
  listening.want('nodes', { jobs: ['a'] })
  await listening.begin()
  listening.want('view', { jobs: ['a', 'b'] })
  listening.want('cards', null)
  await flushPromises()
  expect(asked).toEqual([{ jobs: ['a'], telemetry: true }, { jobs: ['a', 'b'], telemetry: true }, { jobs: ['a', 'b'] }])
})

it('nothing is asked again when what is wanted stays the same', async () => {
  await listening.begin()
  listening.want('cards', { jobs: [] })
  await flushPromises()
  expect(asked).toEqual([{}])
})

it('a socket with a new id is registered anew', async () => {
  await listening.begin()
  Object.assign(fake.api, { clientId: 'tab-2' })
  fake.answer('PUT /listeners/tab-2', () => ({ expires_in_s: 300 }))
  fake.message('status', {})
  await flushPromises()
  expect(fake.requests).toContain('PUT /listeners/tab-2')
})
