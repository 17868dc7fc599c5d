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
  /** Waiting jobs are served in the order of `queued_at` less an hour a level of priority. */
  priority: v.optional(v.number(), 0),
  queued_at: v.optional(v.nullable(v.number()), null),
  created_at: v.number(),
  ended_at: v.nullable(v.number()),
  failure: v.nullable(Failure),
})

/** A job as lists show it. */
export const ListedJob = v.object({ ...JobSummary.entries, backend_id: v.optional(v.nullable(v.string()), null) })

export const JobList = v.object({ jobs: v.array(ListedJob), next: v.nullable(v.number()) })

export const Progress = v.object({
  job_id: v.string(),
  backend_id: v.string(),
  done_ratio: v.number(),
  node_id: v.nullable(v.string()),
  class_type: v.nullable(v.string()),
  /** Seconds of loading models before what runs now; null: not known. */
  loading_s: v.optional(v.nullable(v.number()), null),
  /** When the load that is under way began. */
  loading_since: v.optional(v.nullable(v.number()), null),
  /** When its outputs began to be fetched. */
  fetching_since: v.optional(v.nullable(v.number()), null),
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

export const StoredFile = v.object({
  sha256: v.string(),
  size_bytes: v.number(),
  media_type: v.string(),
  url: v.string(),
  /** A small picture of it, where there is one. */
  preview_url: v.optional(v.nullable(v.string()), null),
  /** The sound or video in it, where there is one. */
  playback_url: v.optional(v.nullable(v.string()), null),
})

/** What a link carries: a constant in `data`, or files in order. */
export const JobValue = v.object({ type: v.string(), data: v.unknown(), files: v.array(StoredFile) })

export const Attempt = v.object({
  id: v.string(),
  number: v.number(),
  backend_id: v.string(),
  backend: v.string(),
  prompt_id: v.string(),
  status: v.string(),
  charged: v.boolean(),
  failure: v.nullable(Failure),
  created_at: v.number(),
  started_at: v.nullable(v.number()),
  ended_at: v.nullable(v.number()),
  uploaded_bytes: v.number(),
  downloaded_bytes: v.number(),
  peak_vram_bytes: v.optional(v.nullable(v.number()), null),
  energy_j: v.optional(v.nullable(v.number()), null),
})

/** A job with all that is known of it. */
export const JobDetail = v.object({
  ...JobSummary.entries,
  backend: v.string(),
  progress: v.optional(v.nullable(Progress), null),
  values: v.record(v.string(), JobValue),
  outputs: v.record(v.string(), JobValue),
  attempts: v.array(Attempt),
})

export const JobEvent = v.object({
  sequence: v.number(),
  at: v.number(),
  kind: v.string(),
  attempt_id: v.nullable(v.string()),
  details: v.record(v.string(), v.unknown()),
})

export const JobEvents = v.object({ events: v.array(JobEvent) })

/** A backend that could run the job, and when it would be done there. Seconds from that moment. */
export const Candidate = v.object({
  backend_id: v.string(),
  backend: v.string(),
  completion_s: v.number(),
  queue_s: v.number(),
  transfer_s: v.number(),
  switch_s: v.number(),
  run_s: v.number(),
  penalty_s: v.number(),
  /** How many runs there the expectation is learned from; with none it is a guess. */
  runs_seen: v.optional(v.number(), 1),
  /** Between what the run time probably lies; null where the workflow has run nowhere yet. */
  run_range_s: v.optional(v.nullable(v.tuple([v.number(), v.number()])), null),
})

export const Refusal = v.object({ backend_id: v.string(), backend: v.string(), reason: v.string(), message: v.string() })

export const Placement = v.object({
  at: v.number(),
  attempt_id: v.nullable(v.string()),
  backend_id: v.nullable(v.string()),
  candidates: v.array(Candidate),
  refusals: v.array(Refusal),
})

/** Where a job could go now, and why it went where it did. */
export const Explanation = v.object({
  candidates: v.array(Candidate),
  refusals: v.array(Refusal),
  placements: v.optional(v.array(Placement), []),
})

export type JobStatus = v.InferOutput<typeof JobStatus>
export type Failure = v.InferOutput<typeof Failure>
export type JobSummary = v.InferOutput<typeof JobSummary>
export type ListedJob = v.InferOutput<typeof ListedJob>
export type JobValue = v.InferOutput<typeof JobValue>
export type StoredFile = v.InferOutput<typeof StoredFile>
export type Attempt = v.InferOutput<typeof Attempt>
export type JobDetail = v.InferOutput<typeof JobDetail>
export type JobEvent = v.InferOutput<typeof JobEvent>
export type Candidate = v.InferOutput<typeof Candidate>
export type Refusal = v.InferOutput<typeof Refusal>
export type Placement = v.InferOutput<typeof Placement>
export type Explanation = v.InferOutput<typeof Explanation>
export type Progress = v.InferOutput<typeof Progress>
export type AttemptNews = v.InferOutput<typeof AttemptNews>
export type JobChange = v.InferOutput<typeof JobChange>

const FINAL: ReadonlySet<JobStatus> = new Set(['succeeded', 'failed', 'cancelled'])

/** Whether nothing can happen to a job of this status any more. */
export function isFinal(status: JobStatus): boolean {
  return FINAL.has(status)
}
