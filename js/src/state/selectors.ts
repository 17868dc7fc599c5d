import { isFinal, type JobSummary, type Progress } from '@/api/schemas/jobs'

import type { State } from './state'

/** What a backend does for us now. */
export interface CurrentJob {
  readonly job: JobSummary
  readonly progress: Progress | null
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

/** The job that each backend runs for us, by the backend's id: the one that tells of its progress wins. */
export function currentJobs(state: State): ReadonlyMap<string, CurrentJob> {
  const found = new Map<string, CurrentJob>()
  for (const { job, attempt } of state.jobs.values()) {
    if (isFinal(job.status)) continue
    const progress = state.progress.get(job.id) ?? null
    const backendId = progress?.backend_id ?? attempt?.backend_id
    if (backendId === undefined) continue
    const known = found.get(backendId)
    if (known === undefined || (known.progress === null && progress !== null)) found.set(backendId, { job, progress })
  }
  return found
}
