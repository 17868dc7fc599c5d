import { flushPromises } from '@vue/test-utils'
import { describe, expect, it, vi } from 'vitest'
import { effectScope, shallowRef } from 'vue'

import type { Client } from '@/api/client'
import type { JobSummary, ListedJob } from '@/api/schemas/jobs'
import { INITIAL, type State } from '@/state/state'
import { createJobListing } from '@/views/jobs/list'

import { job } from '../../support/make'

/** A listing of pages that a server has, by cursor, beside jobs that messages told of. */
async function listing(pages: readonly (readonly ListedJob[])[], live: readonly JobSummary[] = []) {
  const list = vi.fn(({ cursor }: { cursor: number | null }) => {
    const at = cursor ?? 0
    return Promise.resolve({ jobs: pages[at], next: at + 1 < pages.length ? at + 1 : null })
  })
  const state = shallowRef<State>({ ...INITIAL, jobs: new Map(live.map((one) => [one.id, { job: one, attempt: null }])) })
  const scope = effectScope()
  const made = scope.run(() => createJobListing({ jobs: { list } } as unknown as Client, state))
  await flushPromises()
  if (made === undefined) throw new Error('the scope is over')
  return { made, list }
}

const ended = (id: string): ListedJob => ({ ...job(id, 'succeeded'), backend_id: 'desk' })

describe('the pages of the past', () => {
  it('come one after another', async () => {
    const { made, list } = await listing([[ended('c')], [ended('b')], [ended('a')]])
    await made.loadMore()
    expect(made.rows.value).toHaveLength(2)
    expect(list).toHaveBeenCalledTimes(2)
    expect(made.more.value).toBe(true)
  })

  it('go on where one tells nothing new', async () => {
    const known = [ended('d'), ended('c'), ended('b')]
    const { made } = await listing([[ended('d')], [ended('c')], [ended('b')], [ended('a')], [ended('z')]], known)
    await made.loadMore()
    expect(made.rows.value.map((row) => row.job.id).sort()).toEqual(['a', 'b', 'c', 'd'])
    expect(made.more.value).toBe(true)
  })

  it('tell which backend had a job, whether or not messages told of it', async () => {
    const { made } = await listing([[ended('b'), ended('a')]], [ended('b')])
    expect(made.rows.value.map((row) => row.backendId)).toEqual(['desk', 'desk'])
  })

  it('end where the server fails, with the reason', async () => {
    const { made, list } = await listing([[ended('b')], [ended('a')]])
    list.mockRejectedValueOnce(new Error('it is gone'))
    await made.loadMore()
    expect(made.problem.value).toContain('it is gone')
    await made.loadMore()
    expect(made.rows.value).toHaveLength(2)
  })
})
