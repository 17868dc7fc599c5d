import type { Http, SendOptions } from './http'
import { segment } from './http'
import { Explanation, JobDetail, JobEvents, JobList, type JobStatus } from './schemas/jobs'
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
  const at = (id: string, rest = '') => `/jobs/${segment(id)}${rest}`
  return {
    /** A page of jobs, newest first. */
    list: (filter: JobFilter = {}, options?: SendOptions) => http.get(JobList, '/jobs', { ...filter }, options),
    /** Its values are exact: a seed may have more digits than a number here. */
    get: (id: string, options?: SendOptions) => http.get(JobDetail, at(id), {}, { ...options, exact: true }),
    /** Its story, in order. */
    events: async (id: string, options?: SendOptions) => (await http.get(JobEvents, at(id, '/events'), {}, options)).events,
    explanation: (id: string, options?: SendOptions) => http.get(Explanation, at(id, '/explanation'), {}, options),
    cancel: (id: string) => http.send(Done, 'POST', at(id, '/cancel')),
    /** Run the work of a job that has ended again, as a new job; elsewhere: on none of the backends that had it. */
    retry: (id: string, elsewhere = false) => http.send(JobDetail, 'POST', at(id, '/retry'), { elsewhere }),
    prioritise: (id: string, priority: number) => http.send(JobDetail, 'POST', at(id, '/priority'), { priority }),
    /** Let a waiting job be served before another one, or, with null, before all that wait. */
    move: (id: string, before: string | null) => http.send(JobDetail, 'POST', at(id, '/move'), { before }),
  }
}

export type JobsApi = ReturnType<typeof jobsApi>
