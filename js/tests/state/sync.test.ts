import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { createClient } from '@/api/client'
import { createStore, type Store } from '@/state/store'
import { createSync, type Sync } from '@/state/sync'

import { type FakeHost, fakeHost } from '../support/fakeHost'
import { backend, change, job } from '../support/make'

let fake: FakeHost
let store: Store
let sync: Sync

beforeEach(() => {
  vi.useFakeTimers()
  fake = fakeHost()
  store = createStore((flush) => flush())
  sync = createSync(fake.host, createClient((route, init) => fake.api.fetchApi(route, init)), store)
  fake.answer('PUT /listeners/tab-1', () => ({ expires_in_s: 300 }))
  fake.answer('GET /backends', () => ({ backends: [backend('desk')] }))
  fake.answer('GET /jobs', () => ({ jobs: [job('a', 'running')], next: null }))
})

afterEach(() => {
  sync.stop()
  vi.useRealTimers()
})

async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0)
}

describe('a page', () => {
  it('knows the farm after its start', async () => {
    sync.start()
    await settled()
    expect(store.state.value.connection.kind).toBe('live')
    expect(store.state.value.jobs.get('a')?.job.status).toBe('running')
  })

  it('keeps the newest word when a message overtakes the snapshot', async () => {
    fake.answer('GET /backends', () => {
      fake.message('orchestrator.jobs', { changes: [change('a', 'succeeded')] })
      return { backends: [] }
    })
    sync.start()
    await settled()
    expect(store.state.value.jobs.get('a')?.job.status).toBe('succeeded')
  })

  it('says that the connection is lost, and knows the farm again when it is back', async () => {
    sync.start()
    await settled()
    fake.message('reconnecting')
    expect(store.state.value.connection.kind).toBe('lost')
    fake.answer('GET /jobs', () => ({ jobs: [job('b')], next: null }))
    fake.message('reconnected')
    await settled()
    expect(store.state.value.connection.kind).toBe('live')
    expect([...store.state.value.jobs.keys()]).toEqual(['b'])
  })

  it('tells why a server does not orchestrate, and finds out by itself when it does', async () => {
    fake.answer('GET /backends', () =>
      Response.json({ error: { code: 'unavailable', message: 'Another ComfyUI is the master.' } }, { status: 503 }),
    )
    sync.start()
    await settled()
    expect(store.state.value.connection).toEqual({ kind: 'refused', problem: 'Another ComfyUI is the master.' })
    fake.answer('GET /backends', () => ({ backends: [] }))
    await vi.advanceTimersByTimeAsync(2_000)
    expect(store.state.value.connection.kind).toBe('live')
  })

  it('renews its registration before it ends', async () => {
    sync.start()
    await settled()
    await vi.advanceTimersByTimeAsync(290_000)
    expect(fake.requests.filter((request) => request === 'PUT /listeners/tab-1').length).toBeGreaterThan(1)
  })

  it('drops a message it does not understand and takes the next', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    sync.start()
    await settled()
    fake.message('orchestrator.jobs', { changes: 'nonsense' })
    fake.message('orchestrator.jobs', { changes: [change('a', 'failed')] })
    expect(store.state.value.jobs.get('a')?.job.status).toBe('failed')
  })
})
