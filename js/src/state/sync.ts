import type { Client } from '@/api/client'
import { ApiError } from '@/api/errors'
import { onEvent } from '@/api/events'
import { createListening, type Listening } from '@/api/listening'
import type { JobStatus, JobSummary } from '@/api/schemas/jobs'
import type { Host } from '@/host/host'

import type { Message } from './messages'
import type { Store } from './store'

const ACTIVE: readonly JobStatus[] = ['queued', 'dispatched', 'running', 'lost', 'waiting', 'cancelling']
const PAGE = 500
/** More than this many jobs under way are not counted one by one. */
const PAGES_AT_MOST = 20
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 15_000

/** Keeps the store true to the server: messages while they come, a snapshot whenever some may have been missed. */
export interface Sync {
  start(): void
  stop(): void
  /** Ask for a snapshot now. */
  refresh(): Promise<void>
  readonly listening: Listening
}

export function createSync(host: Host, client: Client, store: Store): Sync {
  const listening = createListening(host, client.system)
  const stops: (() => void)[] = []
  let retry: ReturnType<typeof setTimeout> | undefined
  let failures = 0
  /** Counts snapshots asked for, so that a late answer cannot overwrite a newer one. */
  let asked = 0
  /**
   * Messages that came while a snapshot was on its way. They are applied on top of it: each tells of a job or backend as
   * a whole and none is missing, so the last word is the newest even where the first ones are older than the snapshot.
   */
  let held: Message[] | null = null

  function news(message: Message): void {
    if (held !== null) held.push(message)
    else store.dispatch(message)
  }

  function release(): void {
    for (const message of held ?? []) store.dispatch(message)
    held = null
  }

  async function refresh(): Promise<void> {
    const number = ++asked
    clearTimeout(retry)
    try {
      // Registered first: what changes while the snapshot is made comes as a message behind it.
      held ??= []
      await listening.begin()
      const [backends, activeJobs] = await Promise.all([client.backends.list(), listActive(client)])
      if (number !== asked) return
      failures = 0
      store.dispatch({ type: 'snapshot', backends, activeJobs })
      release()
    } catch (error) {
      if (number !== asked) return
      release()
      if (error instanceof ApiError) store.dispatch({ type: 'refused', problem: error.message })
      else store.dispatch({ type: 'connectionLost' })
      retry = setTimeout(() => void refresh(), Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++))
    }
  }

  return {
    refresh,
    listening,
    start() {
      stops.push(
        onEvent(host, 'orchestrator.backends', ({ backends }) => news({ type: 'backendsListed', backends })),
        onEvent(host, 'orchestrator.jobs', ({ changes }) => news({ type: 'jobsChanged', changes })),
        onEvent(host, 'orchestrator.progress', ({ jobs }) => news({ type: 'progressed', jobs })),
        onEvent(host, 'orchestrator.telemetry', ({ machines }) => news({ type: 'measured', machines })),
        host.on('reconnecting', () => store.dispatch({ type: 'connectionLost' })),
        host.on('reconnected', () => void refresh()),
      )
      void refresh()
    },
    stop() {
      asked++
      held = null
      clearTimeout(retry)
      for (const stop of stops.splice(0)) stop()
      listening.end()
    },
  }
}

async function listActive(client: Client): Promise<JobSummary[]> {
  const found: JobSummary[] = []
  let cursor: number | null = null
  for (let page = 0; page < PAGES_AT_MOST; page++) {
    const { jobs, next } = await client.jobs.list({ status: ACTIVE, limit: PAGE, cursor })
    found.push(...jobs)
    if (next === null) break
    cursor = next
  }
  return found
}
