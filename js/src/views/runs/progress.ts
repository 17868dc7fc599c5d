import type { JobStatus, JobSummary } from '@/api/schemas/jobs'
import type { RunSummary } from '@/api/schemas/runs'

/** How far a run is, by the jobs it has started so far. */
export interface RunProgress {
  readonly done: number
  readonly failed: number
  readonly running: number
  readonly waiting: number
  readonly total: number
  /** Of the jobs that are known; more may follow. */
  readonly ratio: number
  /** Seconds until these jobs are done at the pace so far; null where nothing can be told. */
  readonly remaining_s: number | null
}

export function progressOf(run: RunSummary, now: number): RunProgress {
  const count = (...statuses: JobStatus[]) => statuses.reduce((sum, status) => sum + (run.jobs_by_status[status] ?? 0), 0)
  const done = count('succeeded')
  const failed = count('failed', 'cancelled')
  const running = count('dispatched', 'running', 'lost', 'cancelling')
  const waiting = count('queued', 'waiting')
  const total = done + failed + running + waiting
  const over = done + failed
  const pace = over / Math.max(1e-9, now - run.created_at)
  const left = running + waiting
  return {
    done,
    failed,
    running,
    waiting,
    total,
    ratio: total === 0 ? (run.status === 'running' ? 0 : 1) : over / total,
    remaining_s: run.status === 'running' && over > 0 && left > 0 ? left / pace : null,
  }
}

/** The items of one node of a run. */
export interface NodeItems {
  readonly nodeId: string | null
  readonly definition: string
  /** In item order; of an item that was tried again as a new job only the newest. */
  readonly jobs: readonly JobSummary[]
}

export function itemsByNode(jobs: readonly JobSummary[]): NodeItems[] {
  const nodes = new Map<string, { nodeId: string | null; definition: string; items: Map<number, JobSummary> }>()
  for (const job of [...jobs].sort((a, b) => a.created_at - b.created_at)) {
    const key = `${job.node_id ?? ''}\n${job.definition}`
    const node = nodes.get(key) ?? { nodeId: job.node_id, definition: job.definition, items: new Map<number, JobSummary>() }
    node.items.set(job.item_index, job)
    nodes.set(key, node)
  }
  return [...nodes.values()].map(({ nodeId, definition, items }) => ({
    nodeId,
    definition,
    jobs: [...items.entries()].sort(([a], [b]) => a - b).map(([, job]) => job),
  }))
}
