import { backendsApi, type BackendsApi } from './backends'
import { createHttp, type Fetch, type Http } from './http'
import { jobsApi, type JobsApi } from './jobs'
import { libraryApi, type LibraryApi } from './library'
import { runsApi, type RunsApi } from './runs'
import { systemApi, type SystemApi } from './system'
import { telemetryApi, type TelemetryApi } from './telemetry'

/** The orchestrator's routes by noun. `http` is for nouns that live with the view that uses them. */
export interface Client {
  readonly http: Http
  readonly backends: BackendsApi
  readonly jobs: JobsApi
  readonly library: LibraryApi
  readonly runs: RunsApi
  readonly system: SystemApi
  readonly telemetry: TelemetryApi
}

export function createClient(fetch: Fetch): Client {
  const http = createHttp(fetch)
  return {
    http,
    backends: backendsApi(http),
    jobs: jobsApi(http),
    library: libraryApi(http),
    runs: runsApi(http),
    system: systemApi(http),
    telemetry: telemetryApi(http),
  }
}
