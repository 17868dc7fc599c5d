import { isFinal, type JobStatus, type JobSummary } from '@/api/schemas/jobs'

/** Which jobs are shown. */
export interface JobFilterState {
  readonly group: JobGroup
  readonly search: string
  readonly definition: string
  readonly backend: string
  readonly run: string
}

export const GROUPS = ['all', 'running', 'waiting', 'done', 'failed'] as const
export type JobGroup = (typeof GROUPS)[number]

/** The statuses of each group; all of them where there are none. `lost` and `cancelling` are still under way. */
export const STATUSES: Readonly<Record<JobGroup, readonly JobStatus[]>> = {
  all: [],
  running: ['dispatched', 'running', 'lost', 'cancelling'],
  waiting: ['queued', 'waiting'],
  done: ['succeeded'],
  failed: ['failed', 'cancelled'],
}

export const NO_FILTER: JobFilterState = { group: 'all', search: '', definition: '', backend: '', run: '' }

/** Whether a job that a message told of belongs into the list. The backend is the one that had it last. */
export function fits(job: JobSummary, backendId: string | null, filter: JobFilterState): boolean {
  const statuses = STATUSES[filter.group]
  if (statuses.length > 0 && !statuses.includes(job.status)) return false
  if (filter.run !== '' && job.run_id !== filter.run) return false
  if (filter.definition !== '' && job.definition !== filter.definition) return false
  if (filter.backend !== '' && backendId !== filter.backend) return false
  const words = filter.search.toLowerCase().split(/\s+/u).filter(Boolean)
  const text = `${job.id} ${job.definition} ${job.failure?.message ?? ''}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

const SECONDS_A_LEVEL = 3600
const PLACES: Readonly<Record<string, number>> = { waiting: 0, cancelling: 1, running: 1, lost: 1, dispatched: 2, queued: 3 }

/** What asks for a decision first, then what runs, then what waits in the order in which it is served, then the past. */
export function inOrder(a: JobSummary, b: JobSummary): number {
  const places = (PLACES[a.status] ?? 4) - (PLACES[b.status] ?? 4)
  if (places !== 0) return places
  if (isFinal(a.status)) return b.created_at - a.created_at || (a.id < b.id ? 1 : -1)
  return rank(a) - rank(b) || (a.id < b.id ? -1 : 1)
}

function rank(job: JobSummary): number {
  return (job.queued_at ?? job.created_at) - job.priority * SECONDS_A_LEVEL
}
