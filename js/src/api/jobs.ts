import type { Http, SendOptions } from './http'
import { segment } from './http'
import { JobList, type JobStatus } from './schemas/jobs'
import { Done } from './schemas/system'

export interface JobFilter {
  readonly status?: readonly JobStatus[]
  readonly run?: string
  readonly definition?: string
  readonly backend?: string
  readonly search?: string
  /** How many at most; the server allows 500. */
  readonly limit?: number
  /** The `next` of the page before. */
  readonly cursor?: number | null
}

export function jobsApi(http: Http) {
  return {
    /** A page of jobs, newest first. */
    list: (filter: JobFilter = {}, options?: SendOptions) => http.get(JobList, '/jobs', { ...filter }, options),
    cancel: (id: string) => http.send(Done, 'POST', `/jobs/${segment(id)}/cancel`),
  }
}

export type JobsApi = ReturnType<typeof jobsApi>
