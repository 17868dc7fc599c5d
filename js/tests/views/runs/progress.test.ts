import { describe, expect, it } from 'vitest'

import type { RunSummary } from '@/api/schemas/runs'
import { itemsByNode, progressOf } from '@/views/runs/progress'

import { job } from '../../support/make'

const run = (jobs: Record<string, number>, parts: Partial<RunSummary> = {}): RunSummary => ({
  id: 'r',
  status: 'running',
  title: '',
  created_at: 0,
  ended_at: null,
  jobs_total: 0,
  jobs_by_status: jobs,
  busy_s: 0,
  ...parts,
})

describe('how far a run is', () => {
  it('counts what is over, and tells the rest at the pace so far', () => {
    const progress = progressOf(run({ succeeded: 3, failed: 1, running: 2, queued: 2 }), 40)
    expect(progress).toMatchObject({ done: 3, failed: 1, running: 2, waiting: 2, total: 8, ratio: 0.5, remaining_s: 40 })
  })

  it('tells no rest before anything is over', () => {
    expect(progressOf(run({ running: 2 }), 40).remaining_s).toBeNull()
  })

  it('is whole when a run without jobs has ended', () => {
    expect(progressOf(run({}, { status: 'succeeded' }), 1).ratio).toBe(1)
  })
})

describe('the items of a run', () => {
  it('are grouped by node and in their order, each with its newest job', () => {
    const nodes = itemsByNode([
      job('b', 'succeeded', { node_id: '7', item_index: 1, created_at: 1 }),
      job('a-again', 'running', { node_id: '7', item_index: 0, created_at: 3 }),
      job('a', 'failed', { node_id: '7', item_index: 0, created_at: 0 }),
      job('c', 'queued', { node_id: '9', created_at: 2 }),
    ])
    expect(nodes.map(({ nodeId, jobs }) => [nodeId, jobs.map(({ id }) => id)])).toEqual([
      ['7', ['a-again', 'b']],
      ['9', ['c']],
    ])
  })
})
