import { describe, expect, it } from 'vitest'

import { ENDED_JOBS_KEPT, reduce } from '@/state/reduce'
import { counts, currentWork, jobsOn } from '@/state/selectors'
import { INITIAL, type State } from '@/state/state'

import { backend, change, job, progress } from '../support/make'

const live = reduce(INITIAL, [
  { type: 'snapshot', backends: [backend('local', { local: true }), backend('desk')], activeJobs: [job('a', 'running')] },
])

describe('a snapshot', () => {
  it('makes the page live and tells what is under way', () => {
    expect(live.connection.kind).toBe('live')
    expect([...live.backends.keys()]).toEqual(['local', 'desk'])
    expect([...live.jobs.keys()]).toEqual(['a'])
  })

  it('forgets jobs that ended while nobody listened, and keeps those whose end was told', () => {
    const before = reduce(live, [{ type: 'jobsChanged', changes: [change('told', 'succeeded')] }])
    const after = reduce(before, [{ type: 'snapshot', backends: [], activeJobs: [job('b')] }])
    expect([...after.jobs.keys()]).toEqual(['told', 'b'])
  })

  it('starts a new epoch, so that views ask again for what they paged in', () => {
    expect(reduce(live, [{ type: 'snapshot', backends: [], activeJobs: [] }]).epoch).toBe(live.epoch + 1)
  })
})

describe('changes of jobs', () => {
  it('take the last word of a batch', () => {
    const state = reduce(live, [{ type: 'jobsChanged', changes: [change('b', 'queued'), change('b', 'running', 'desk')] }])
    expect(state.jobs.get('b')?.job.status).toBe('running')
    expect(state.jobs.get('b')?.attempt?.backend_id).toBe('desk')
  })

  it('end the progress of a job that no longer runs', () => {
    const running = reduce(live, [{ type: 'progressed', jobs: [progress('a', 'desk', 0.5)] }])
    expect(currentWork(running).on.get('desk')?.progress?.done_ratio).toBe(0.5)
    const done = reduce(running, [{ type: 'jobsChanged', changes: [change('a', 'succeeded', 'desk')] }])
    expect(done.progress.size).toBe(0)
    expect(currentWork(done).on.size).toBe(0)
  })

  it('leave the state before them as it was', () => {
    reduce(live, [{ type: 'jobsChanged', changes: [change('a', 'failed')] }, { type: 'backendRemoved', id: 'desk' }])
    expect(live.jobs.get('a')?.job.status).toBe('running')
    expect(live.backends.has('desk')).toBe(true)
  })

  it('keep only so many ended jobs, the latest', () => {
    const ended = Array.from({ length: ENDED_JOBS_KEPT + 5 }, (_, i) => change(`j${i}`, 'succeeded'))
    const state = reduce(live, [{ type: 'jobsChanged', changes: ended }])
    expect(state.jobs.has('j4')).toBe(false)
    expect(state.jobs.has('j5')).toBe(true)
    expect(state.jobs.has('a')).toBe(true)
  })
})

describe('the jobs on a backend', () => {
  const desk = backend('desk', { in_flight: 4 })

  it('are counted by what was told of each job', () => {
    const changes = [change('a', 'running', 'desk'), change('b', 'dispatched', 'desk'), change('c', 'queued', 'desk')]
    const state = reduce(live, [{ type: 'jobsChanged', changes }])
    expect(jobsOn(currentWork(state), desk)).toBe(2)
  })

  it('are as many as the backend says where it is not known which job is where, as after a reload', () => {
    expect(jobsOn(currentWork(live), desk)).toBe(4)
    const done = reduce(live, [{ type: 'jobsChanged', changes: [change('a', 'succeeded')] }])
    expect(jobsOn(currentWork(done), desk)).toBe(0)
  })
})

describe('the connection', () => {
  it('is lost only after it was there: a page that starts is not told of a loss', () => {
    const after = (state: State) => reduce(state, [{ type: 'connectionLost' }]).connection.kind
    expect(after(INITIAL)).toBe('starting')
    expect(after(live)).toBe('lost')
  })
})

describe('counts', () => {
  it('tell apart what runs, what waits for a backend and what waits for a person', () => {
    const state = reduce(live, [{ type: 'jobsListed', jobs: [job('b', 'queued'), job('c', 'waiting'), job('d', 'failed')] }])
    expect(counts(state)).toEqual({ online: 2, backends: 2, running: 1, queued: 1, waiting: 1 })
  })
})
