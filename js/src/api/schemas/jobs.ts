import * as v from 'valibot'

export const JobStatus = v.picklist([
  'queued',
  'dispatched',
  'running',
  'lost',
  'waiting',
  'cancelling',
  'succeeded',
  'failed',
  'cancelled',
])

export const Failure = v.object({
  cause: v.string(),
  message: v.string(),
  node_id: v.nullable(v.string()),
  class_type: v.nullable(v.string()),
  traceback: v.array(v.string()),
  dropped: v.boolean(),
})

export const JobSummary = v.object({
  id: v.string(),
  run_id: v.string(),
  definition: v.string(),
  version: v.number(),
  status: JobStatus,
  node_id: v.nullable(v.string()),
  item_index: v.number(),
  created_at: v.number(),
  ended_at: v.nullable(v.number()),
  failure: v.nullable(Failure),
})

export const JobList = v.object({ jobs: v.array(JobSummary), next: v.nullable(v.number()) })

export const Progress = v.object({
  job_id: v.string(),
  backend_id: v.string(),
  done_ratio: v.number(),
  node_id: v.nullable(v.string()),
  class_type: v.nullable(v.string()),
})

/** The attempt that a change is about, as far as messages tell. */
export const AttemptNews = v.object({
  id: v.string(),
  number: v.number(),
  backend_id: v.string(),
  status: v.string(),
  failure: v.nullable(Failure),
})

export const JobChange = v.object({ kind: v.string(), job: JobSummary, attempt: v.optional(AttemptNews) })

export type JobStatus = v.InferOutput<typeof JobStatus>
export type Failure = v.InferOutput<typeof Failure>
export type JobSummary = v.InferOutput<typeof JobSummary>
export type Progress = v.InferOutput<typeof Progress>
export type AttemptNews = v.InferOutput<typeof AttemptNews>
export type JobChange = v.InferOutput<typeof JobChange>

const FINAL: ReadonlySet<JobStatus> = new Set(['succeeded', 'failed', 'cancelled'])

/** Whether nothing can happen to a job of this status any more. */
export function isFinal(status: JobStatus): boolean {
  return FINAL.has(status)
}
