import type { Host } from '@/host/host'

/** Data that goes with a graph wherever it is stored. */
type Extra = Record<string, unknown>

interface WithExtra {
  extra?: Extra
}

/** The one place of the host that remembers the graph as it was last: told too, or ours would count as a change. */
interface WorkflowStore {
  readonly activeWorkflow?: {
    readonly filename?: string
    /** Whether it was ever stored under a name that the user gave it. */
    readonly isPersisted?: boolean
    readonly changeTracker?: { readonly activeState?: WithExtra }
  } | null
}

function active({ app }: Pick<Host, 'app'>) {
  return ((app.extensionManager ?? {}) as { workflow?: WorkflowStore }).workflow?.activeWorkflow
}

/** Change what goes with a graph, without the host taking it for a change that the user made. */
export function changeExtra(host: Pick<Host, 'app'>, graph: WithExtra, change: (extra: unknown) => Extra): void {
  graph.extra = change(graph.extra)
  const remembered = active(host)?.changeTracker?.activeState
  if (remembered && !Object.isFrozen(remembered)) remembered.extra = change(remembered.extra)
}

/** What the user calls the graph on the canvas; empty if it was never stored. */
export function graphTitle(host: Pick<Host, 'app'>): string {
  const workflow = active(host)
  return workflow?.isPersisted === true ? (workflow.filename ?? '') : ''
}
