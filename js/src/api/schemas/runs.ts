import * as v from 'valibot'

import { JobSummary } from './jobs'

export const RunStatus = v.picklist(['running', 'succeeded', 'failed', 'cancelled'])

export const RunSummary = v.object({
  id: v.string(),
  status: RunStatus,
  title: v.string(),
  created_at: v.number(),
  ended_at: v.nullable(v.number()),
  jobs_total: v.optional(v.number(), 0),
  /** What there is none of is left out. */
  jobs_by_status: v.optional(v.record(v.string(), v.number()), {}),
  /** How long backends ran its jobs, in all. */
  busy_s: v.optional(v.number(), 0),
})

export const RunList = v.object({ runs: v.array(RunSummary) })

export const RunDetail = v.object({ ...RunSummary.entries, jobs: v.array(JobSummary), next: v.nullable(v.number()) })

export type RunSummary = v.InferOutput<typeof RunSummary>
export type RunDetail = v.InferOutput<typeof RunDetail>
