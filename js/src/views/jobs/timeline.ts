import type { Attempt, JobDetail, JobEvent, Progress } from '@/api/schemas/jobs'

export type Phase = 'queued' | 'preparing' | 'remoteQueue' | 'loading' | 'running' | 'fetching'

/** A stretch of a job's life, in seconds since the epoch. */
export interface Span {
  readonly phase: Phase
  readonly from: number
  readonly to: number
  readonly attempt: Attempt | null
  readonly failed: boolean
}

/**
 * Tell how a job spent its time: waiting here, its inputs under way, in the backend's queue, loading models, running, its
 * outputs under way; for each attempt in turn. Made of what the job's story tells, so that a stretch it does not tell of is
 * left out; of the attempt under way, its progress tells. The loads of an attempt are one stretch, at the beginning of what
 * they are a part of.
 */
export function timeline(job: JobDetail, events: readonly JobEvent[], now: number, progress: Progress | null = null): Span[] {
  const spans: Span[] = []
  let free = job.created_at
  const add = (phase: Phase, from: number, to: number, attempt: Attempt | null, failed = false) => {
    if (to > from) spans.push({ phase, from, to, attempt, failed })
  }
  for (const attempt of job.attempts) {
    const at = (kind: string) => events.find((event) => event.attempt_id === attempt.id && event.kind === kind)?.at
    const end = attempt.ended_at ?? now
    const accepted = at('accepted')
    const started = attempt.started_at
    const failed = attempt.failure !== null
    add('queued', free, attempt.created_at, null)
    add('preparing', attempt.created_at, accepted ?? started ?? end, attempt, failed && accepted === undefined && started === null)
    if (accepted !== undefined) add('remoteQueue', accepted, started ?? end, attempt, failed && started === null)
    if (started !== null) {
      const live = attempt.ended_at === null && progress?.backend_id === attempt.backend_id ? progress : null
      const done = Math.max(started, live === null ? end - told(attempt, events, 'fetching_s') : (live.fetching_since ?? end))
      const loading = live === null ? told(attempt, events, 'loading_s') : loadingNow(live, now)
      const loaded = Math.min(done, started + loading)
      add('loading', started, loaded, attempt, failed && loaded === end)
      add('running', loaded, done, attempt, failed && done === end)
      add('fetching', done, end, attempt, failed)
    }
    free = end
  }
  if (job.ended_at === null && job.attempts.every((attempt) => attempt.ended_at !== null)) add('queued', free, now, null)
  return spans
}

/** A duration of an attempt that is over, in seconds; 0 where its story does not tell. */
function told(attempt: Attempt, events: readonly JobEvent[], what: 'loading_s' | 'fetching_s'): number {
  for (const { attempt_id: id, details } of events) {
    const found = details[what]
    if (id === attempt.id && typeof found === 'number') return Math.max(0, found)
  }
  return 0
}

/** How long the attempt under way has been in nodes that load models; 0 where that is not known. */
function loadingNow({ loading_s: before, loading_since: since }: Progress, now: number): number {
  return (before ?? 0) + (since === null ? 0 : Math.max(0, now - since))
}
