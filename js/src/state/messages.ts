import type { Backend } from '@/api/schemas/backends'
import type { JobChange, JobSummary, Progress } from '@/api/schemas/jobs'
import type { Machine } from '@/api/schemas/telemetry'

/** Everything that can happen to the state. */
export type Message =
  /** All that is under way, asked for after messages were missed: what is not in it has ended meanwhile. */
  | { readonly type: 'snapshot'; readonly backends: readonly Backend[]; readonly activeJobs: readonly JobSummary[] }
  | { readonly type: 'refused'; readonly problem: string }
  | { readonly type: 'connectionLost' }
  | { readonly type: 'backendsListed'; readonly backends: readonly Backend[] }
  /** One backend as a route answered it. */
  | { readonly type: 'backendChanged'; readonly backend: Backend }
  | { readonly type: 'backendRemoved'; readonly id: string }
  | { readonly type: 'jobsChanged'; readonly changes: readonly JobChange[] }
  /** Jobs that a route listed, whatever their status. */
  | { readonly type: 'jobsListed'; readonly jobs: readonly JobSummary[] }
  | { readonly type: 'progressed'; readonly jobs: readonly Progress[] }
  | { readonly type: 'measured'; readonly machines: readonly Machine[] }
