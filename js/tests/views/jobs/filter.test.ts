import { describe, expect, it } from 'vitest'

import { fits, inOrder, NO_FILTER } from '@/views/jobs/filter'

import { job } from '../../support/make'

const ids = (jobs: readonly { id: string }[]) => jobs.map(({ id }) => id)

describe('the order of jobs', () => {
  it('begins with what asks the user, then what runs, what waits, and the past', () => {
    const jobs = [job('past', 'succeeded'), job('queued'), job('asks', 'waiting'), job('runs', 'running')]
    expect(ids(jobs.sort(inOrder))).toEqual(['asks', 'runs', 'queued', 'past'])
  })

  it('lists what waits as it will be served: a level of priority outweighs an hour', () => {
    const jobs = [
      job('later', 'queued', { queued_at: 200 }),
      job('first', 'queued', { queued_at: 100 }),
      job('urgent', 'queued', { queued_at: 3_650, priority: 1 }),
    ]
    expect(ids(jobs.sort(inOrder))).toEqual(['urgent', 'first', 'later'])
  })

  it('lists the past newest first', () => {
    const jobs = [job('old', 'failed', { created_at: 1 }), job('new', 'succeeded', { created_at: 2 })]
    expect(ids(jobs.sort(inOrder))).toEqual(['new', 'old'])
  })
})

describe('the filter', () => {
  it.each([
    [{ group: 'running' as const }, true],
    [{ group: 'done' as const }, false],
    [{ search: 'UP scale' }, true],
    [{ search: 'portrait' }, false],
    [{ backend: 'big' }, true],
    [{ backend: 'small' }, false],
    [{ run: 'r' }, false],
    [{ definition: 'upscale' }, true],
  ])('%o fits a running job of upscale on big: %s', (parts, expected) => {
    expect(fits(job('j', 'running'), 'big', { ...NO_FILTER, ...parts })).toBe(expected)
  })
})
