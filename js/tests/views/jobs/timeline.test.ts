import { describe, expect, it } from 'vitest'

import type { Attempt, JobDetail, JobEvent, Progress } from '@/api/schemas/jobs'
import { timeline } from '@/views/jobs/timeline'

import { job } from '../../support/make'

function attempt(id: string, times: Partial<Attempt>): Attempt {
  return {
    id,
    number: 1,
    backend_id: 'b',
    backend: 'big',
    prompt_id: id,
    status: 'succeeded',
    charged: true,
    failure: null,
    created_at: 0,
    started_at: null,
    ended_at: null,
    uploaded_bytes: 0,
    downloaded_bytes: 0,
    peak_vram_bytes: null,
    energy_j: null,
    ...times,
  }
}

function detail(attempts: Attempt[], parts: Partial<JobDetail> = {}): JobDetail {
  return { ...job('j', 'running'), backend: 'auto', progress: null, values: {}, outputs: {}, attempts, ...parts }
}

const event = (attemptId: string, kind: string, at: number, details = {}): JobEvent => ({
  sequence: 1,
  at,
  kind,
  attempt_id: attemptId,
  details,
})
const progressing = (parts: Partial<Progress>): Progress => ({
  job_id: 'j',
  backend_id: 'b',
  done_ratio: 0.5,
  node_id: null,
  class_type: null,
  loading_s: null,
  loading_since: null,
  fetching_since: null,
  ...parts,
})
const told = (spans: ReturnType<typeof timeline>) => spans.map(({ phase, from, to }) => [phase, from, to])

describe('where the time of a job went', () => {
  it('is its wait, its transfer, the queue there, and the run', () => {
    const done = detail([attempt('a', { created_at: 2, started_at: 6, ended_at: 9 })], { status: 'succeeded', ended_at: 9 })
    expect(told(timeline(done, [event('a', 'accepted', 4)], 100))).toEqual([
      ['queued', 0, 2],
      ['preparing', 2, 4],
      ['remoteQueue', 4, 6],
      ['running', 6, 9],
    ])
  })

  it('tells the loading of models from the run, as far as it is known', () => {
    const done = detail([attempt('a', { started_at: 6, ended_at: 9 })], { ended_at: 9 })
    const spans = (loading: unknown) => told(timeline(done, [event('a', 'succeeded', 9, { loading_s: loading })], 100)).slice(1)
    expect(spans(2)).toEqual([
      ['loading', 6, 8],
      ['running', 8, 9],
    ])
    expect(spans(5)).toEqual([['loading', 6, 9]])
    for (const nothing of [0, -1, null, 'long']) expect(spans(nothing)).toEqual([['running', 6, 9]])
  })

  it('shows an attempt as failed at its end, which may be a model that did not load', () => {
    const failure = { cause: 'execution_error', message: '', node_id: null, class_type: null, traceback: [], dropped: false }
    const failed = detail([attempt('a', { started_at: 6, ended_at: 9, failure })], { ended_at: 9 })
    const spans = (loading: number) => timeline(failed, [event('a', 'faulted', 9, { loading_s: loading })], 100).slice(1)
    expect(spans(2).map((span) => span.failed)).toEqual([false, true])
    expect(spans(3).map((span) => [span.phase, span.failed])).toEqual([['loading', true]])
  })

  it('goes on until now while it runs', () => {
    const running = detail([attempt('a', { created_at: 1, started_at: 3 })])
    expect(told(timeline(running, [event('a', 'accepted', 2)], 10)).at(-1)).toEqual(['running', 3, 10])
  })

  it('tells the loading of models while it lasts, and then for how long it did', () => {
    const running = detail([attempt('a', { created_at: 1, started_at: 3 })])
    const at = (now: number, parts: Partial<Progress>) => told(timeline(running, [event('a', 'accepted', 2)], now, progressing(parts))).slice(3)
    expect(at(10, { loading_s: 0, loading_since: 3 })).toEqual([['loading', 3, 10]])
    expect(at(12, { loading_s: 8 })).toEqual([
      ['loading', 3, 11],
      ['running', 11, 12],
    ])
    expect(at(15, { loading_s: 8, loading_since: 14 })).toEqual([
      ['loading', 3, 12],
      ['running', 12, 15],
    ])
    expect(at(15, { loading_s: null, loading_since: null })).toEqual([['running', 3, 15]])
    expect(at(15, { loading_s: 8, backend_id: 'another' })).toEqual([['running', 3, 15]])
  })

  it('tells the fetching of results while it lasts, and afterwards', () => {
    const running = detail([attempt('a', { started_at: 3 })])
    expect(told(timeline(running, [], 10, progressing({ fetching_since: 8 })).slice(-2))).toEqual([
      ['running', 3, 8],
      ['fetching', 8, 10],
    ])
    const done = detail([attempt('a', { started_at: 3, ended_at: 11 })], { ended_at: 11 })
    expect(told(timeline(done, [event('a', 'succeeded', 11, { loading_s: 1, fetching_s: 2.5 })], 20).slice(-3))).toEqual([
      ['loading', 3, 4],
      ['running', 4, 8.5],
      ['fetching', 8.5, 11],
    ])
  })

  it('tells a failed attempt and the wait for the next one', () => {
    const failure = { cause: 'vanished', message: '', node_id: null, class_type: null, traceback: [], dropped: false }
    const spans = timeline(
      detail([attempt('a', { created_at: 0, started_at: 1, ended_at: 4, failure }), attempt('b', { created_at: 6 })]),
      [],
      8,
    )
    expect(told(spans)).toEqual([
      ['preparing', 0, 1],
      ['running', 1, 4],
      ['queued', 4, 6],
      ['preparing', 6, 8],
    ])
    expect(spans[1]?.failed).toBe(true)
  })

  it('is only a wait before anything was tried', () => {
    expect(told(timeline(detail([]), [], 5))).toEqual([['queued', 0, 5]])
  })
})
