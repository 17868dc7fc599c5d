import type { Backend } from '@/api/schemas/backends'
import { isFinal, type JobSummary, type Progress } from '@/api/schemas/jobs'

import type { State } from './state'

/** What a backend does for us now. */
export interface CurrentWork {
  /** The job that it runs; the one that tells of its progress wins. */
  readonly job: JobSummary
  readonly progress: Progress | null
  /** How many jobs of ours it has, this one included. */
  readonly jobs: number
}

export interface Counts {
  readonly online: number
  readonly backends: number
  readonly running: number
  readonly queued: number
  /** Jobs that a person must decide about. */
  readonly waiting: number
}

export function counts(state: State): Counts {
  let online = 0
  for (const backend of state.backends.values()) if (backend.status === 'online' || backend.status === 'degraded') online++
  let running = 0
  let queued = 0
  let waiting = 0
  for (const { job } of state.jobs.values()) {
    if (job.status === 'waiting') waiting++
    else if (job.status === 'queued') queued++
    else if (!isFinal(job.status)) running++
  }
  return { online, backends: state.backends.size, running, queued, waiting }
}

/** What the backends do for us. */
export interface Work {
  /** By the backend's id; backends that have nothing of ours are not in it. */
  readonly on: ReadonlyMap<string, CurrentWork>
  /** Whether there are jobs on backends of which it is not known on which, as after a reload of the page. */
  readonly unplaced: boolean
}

export function currentWork(state: State): Work {
  const on = new Map<string, CurrentWork>()
  let unplaced = false
  for (const { job, attempt } of state.jobs.values()) {
    // A queued job is on no backend, whatever its last attempt was.
    if (isFinal(job.status) || job.status === 'queued' || job.status === 'waiting') continue
    const progress = state.progress.get(job.id) ?? null
    const backendId = progress?.backend_id ?? attempt?.backend_id
    if (backendId === undefined) {
      unplaced = true
      continue
    }
    const known = on.get(backendId)
    const wins = known === undefined || (known.progress === null && progress !== null)
    on.set(backendId, {
      job: wins ? job : known.job,
      progress: wins ? progress : known.progress,
      jobs: (known?.jobs ?? 0) + 1,
    })
  }
  return { on, unplaced }
}

/**
 * How many jobs of ours a backend has. Its own count is told with its health and may be old; changes of jobs are told at
 * once. The count stands in where it is not known which job is where.
 */
export function jobsOn(work: Work, backend: Backend): number {
  const known = work.on.get(backend.id)
  if (known !== undefined) return known.jobs
  return work.unplaced ? backend.in_flight : 0
}
