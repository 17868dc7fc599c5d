import type { Attempt, JobDetail, JobEvent } from '@/api/schemas/jobs'

export type Phase = 'queued' | 'preparing' | 'remoteQueue' | 'loading' | 'running'

/** A stretch of a job's life, in seconds since the epoch. */
export interface Span {
  readonly phase: Phase
  readonly from: number
  readonly to: number
  readonly attempt: Attempt | null
  readonly failed: boolean
}

/**
 * Tell how a job spent its time: waiting here, its inputs under way, in the backend's queue, loading models, running
 * (outputs fetched included); for each attempt in turn. Made of what the job's story tells, so that a stretch it does not
 * tell of is left out. The loads of an attempt are one stretch, at the beginning of what they are a part of.
 */
export function timeline(job: JobDetail, events: readonly JobEvent[], now: number): Span[] {
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
      const loaded = Math.min(end, started + loadingOf(attempt, events))
      add('loading', started, loaded, attempt, failed && loaded === end)
      add('running', loaded, end, attempt, failed)
    }
    free = end
  }
  if (job.ended_at === null && job.attempts.every((attempt) => attempt.ended_at !== null)) add('queued', free, now, null)
  return spans
}

/** How long an attempt was in nodes that load models, in seconds; 0 where its story does not tell. */
function loadingOf(attempt: Attempt, events: readonly JobEvent[]): number {
  for (const { attempt_id: id, details } of events) {
    const told = details['loading_s']
    if (id === attempt.id && typeof told === 'number') return Math.max(0, told)
  }
  return 0
}
