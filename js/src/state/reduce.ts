import { isFinal } from '@/api/schemas/jobs'

import type { Message } from './messages'
import { sharing } from './sharing'
import type { JobRecord, State } from './state'
import { extend } from './telemetry'

/** How many ended jobs are kept for badges and views; lists of the past are asked for page by page. */
export const ENDED_JOBS_KEPT = 1_000

/**
 * Return the state after messages, in their order. Pure: tables are copied before they change, once for all the
 * messages of a batch, so that a batch costs the same whether it holds one change or a thousand.
 */
export function reduce(state: State, messages: readonly Message[]): State {
  const draft = new Draft(state)
  for (const message of messages) apply(draft, message)
  return draft.finish()
}

function apply(draft: Draft, message: Message): void {
  switch (message.type) {
    case 'snapshot': {
      const ended = [...draft.jobs.entries()].filter(([, { job }]) => isFinal(job.status))
      const active = message.activeJobs.map((job): [string, JobRecord] => [
        job.id,
        { job, attempt: draft.jobs.get(job.id)?.attempt ?? null },
      ])
      const jobs = new Map([...ended, ...active])
      draft.replace({
        connection: { kind: 'live' },
        epoch: draft.epoch + 1,
        backends: sharing(draft.backends, message.backends),
        jobs,
        progress: new Map([...draft.progress].filter(([id]) => jobs.get(id)?.job.status === 'running')),
      })
      return
    }
    case 'refused':
      draft.replace({ connection: { kind: 'refused', problem: message.problem } })
      return
    case 'connectionLost':
      if (draft.connection.kind === 'live') draft.replace({ connection: { kind: 'lost' } })
      return
    case 'backendsListed':
      draft.replace({ backends: sharing(draft.backends, message.backends) })
      return
    case 'backendChanged':
      draft.change('backends').set(message.backend.id, message.backend)
      return
    case 'backendRemoved':
      draft.change('backends').delete(message.id)
      draft.change('telemetry').delete(message.id)
      return
    case 'jobsChanged':
      for (const { job, attempt } of message.changes) {
        const known = draft.jobs.get(job.id)?.attempt ?? null
        // Ended jobs move to the end of the table, so that the oldest ended ones are found first.
        if (isFinal(job.status)) draft.change('jobs').delete(job.id)
        draft.change('jobs').set(job.id, { job, attempt: attempt ?? known })
        if (job.status !== 'running' && draft.progress.has(job.id)) draft.change('progress').delete(job.id)
      }
      return
    case 'jobsListed':
      for (const job of message.jobs) {
        draft.change('jobs').set(job.id, { job, attempt: draft.jobs.get(job.id)?.attempt ?? null })
      }
      return
    case 'progressed':
      for (const progress of message.jobs) draft.change('progress').set(progress.job_id, progress)
      return
    case 'measured':
      for (const machine of message.machines) {
        draft.change('telemetry').set(machine.backend_id, extend(draft.telemetry.get(machine.backend_id), machine))
      }
      return
  }
}

const TABLES = ['backends', 'jobs', 'progress', 'telemetry'] as const
type Tables = (typeof TABLES)[number]
type Mutable<T> = T extends ReadonlyMap<infer K, infer V> ? Map<K, V> : never

/** A state under change: a table is copied at its first change. */
class Draft {
  private readonly own = new Set<Tables>()

  constructor(private state: State) {}

  get connection() {
    return this.state.connection
  }

  get epoch() {
    return this.state.epoch
  }

  get backends() {
    return this.state.backends
  }

  get telemetry() {
    return this.state.telemetry
  }

  get jobs() {
    return this.state.jobs
  }

  get progress() {
    return this.state.progress
  }

  replace(parts: Partial<State>): void {
    this.state = { ...this.state, ...parts }
    for (const name of TABLES) if (name in parts) this.own.add(name)
  }

  change<T extends Tables>(name: T): Mutable<State[T]> {
    if (!this.own.has(name)) this.replace({ [name]: new Map(this.state[name] as ReadonlyMap<string, never>) })
    return this.state[name] as unknown as Mutable<State[T]>
  }

  finish(): State {
    if (this.own.has('jobs')) this.forgetOldest()
    return this.state
  }

  private forgetOldest(): void {
    const ended: string[] = []
    for (const [id, { job }] of this.state.jobs) if (isFinal(job.status)) ended.push(id)
    for (const id of ended.slice(0, Math.max(0, ended.length - ENDED_JOBS_KEPT))) this.change('jobs').delete(id)
  }
}
