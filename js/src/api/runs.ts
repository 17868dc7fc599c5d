import type { Http, SendOptions } from './http'
import { segment } from './http'
import type { JobSummary } from './schemas/jobs'
import { RunDetail, RunList, RunSummary } from './schemas/runs'
import { Done } from './schemas/system'

const JOBS_PAGE = 500
/** The items of larger runs are not listed one by one. */
const PAGES_AT_MOST = 10

export function runsApi(http: Http) {
  const at = (id: string, rest = '') => `/runs/${segment(id)}${rest}`
  return {
    /** Runs, newest first. */
    list: async (limit: number, offset: number, options?: SendOptions) =>
      (await http.get(RunList, '/runs', { limit, offset }, options)).runs,
    /** A run with its jobs, of very large ones the newest. */
    async get(id: string, options?: SendOptions): Promise<RunDetail> {
      const first = await http.get(RunDetail, at(id), { limit: JOBS_PAGE }, options)
      const jobs: JobSummary[] = [...first.jobs]
      let { next } = first
      for (let page = 1; next !== null && page < PAGES_AT_MOST; page++) {
        const more: RunDetail = await http.get(RunDetail, at(id), { limit: JOBS_PAGE, cursor: next }, options)
        jobs.push(...more.jobs)
        next = more.next
      }
      return { ...first, jobs, next }
    },
    /** A run without its jobs. */
    summary: (id: string): Promise<RunSummary> => http.get(RunSummary, at(id), { limit: 1 }),
    cancel: (id: string) => http.send(Done, 'POST', at(id, '/cancel')),
  }
}

export type RunsApi = ReturnType<typeof runsApi>
