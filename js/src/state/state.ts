import type { Backend } from '@/api/schemas/backends'
import type { AttemptNews, JobSummary, Progress } from '@/api/schemas/jobs'

import type { Track } from './telemetry'

/**
 * How this page stands to the server: `starting` before the first answer, `live` while messages arrive, `lost` while
 * the socket or the server is gone (what is shown may be old), `refused` when this server does not orchestrate.
 */
export type Connection =
  | { readonly kind: 'starting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'refused'; readonly problem: string }

/** A job with the latest that messages told of its attempts. */
export interface JobRecord {
  readonly job: JobSummary
  readonly attempt: AttemptNews | null
}

/** All that this page knows of the orchestrator. Never changed in place. */
export interface State {
  readonly connection: Connection
  /** Grows with each snapshot: what was paged in before may have a gap then and is asked for again. */
  readonly epoch: number
  /** By id, in the server's order: this server first. */
  readonly backends: ReadonlyMap<string, Backend>
  /** By id: those that are under way, and those that ended since the page was opened. */
  readonly jobs: ReadonlyMap<string, JobRecord>
  /** By job id; only of jobs that run. */
  readonly progress: ReadonlyMap<string, Progress>
  /** By backend id. */
  readonly telemetry: ReadonlyMap<string, Track>
}

export const INITIAL: State = {
  connection: { kind: 'starting' },
  epoch: 0,
  backends: new Map(),
  jobs: new Map(),
  progress: new Map(),
  telemetry: new Map(),
}
