/** What a graph carries of the library: which definitions its nodes run, and the text of those in its `extra`. Pure. */

export const REMOTE_WORKFLOW = 'OrchestratorRemoteWorkflow'

interface GraphLike {
  readonly nodes?: Iterable<NodeLike>
  readonly extra?: unknown
  readonly subgraphs?: { values(): Iterable<GraphLike> }
}

interface NodeLike {
  readonly type?: string
  readonly widgets?: readonly { readonly name: string; readonly value: unknown }[]
}

/** Return the ids that Remote Workflow nodes name, in the graph and in its subgraphs, sorted. */
export function usedIds(root: GraphLike): string[] {
  const ids = new Set<string>()
  for (const graph of [root, ...(root.subgraphs?.values() ?? [])]) {
    for (const node of graph.nodes ?? []) {
      if (node.type !== REMOTE_WORKFLOW) continue
      const value = node.widgets?.find(({ name }) => name === 'workflow')?.value
      if (typeof value === 'string' && value !== '') ids.add(value)
    }
  }
  return [...ids].sort()
}

/** Return the text that a graph carries; empty where there is none. */
export function carriedText(extra: unknown): string {
  const text = record(record(extra)['orchestrator'])['definitions']
  if (typeof text === 'string') return text
  return text === undefined ? '' : JSON.stringify(text)
}

/** Return the `extra` with another text; what else is in it stays. */
export function withCarried(extra: unknown, text: string): Record<string, unknown> {
  return withOurs(extra, 'definitions', text)
}

/** Return the `extra` with what the user calls the graph; the server calls runs so. */
export function withTitle(extra: unknown, title: string): Record<string, unknown> {
  return withOurs(extra, 'title', title)
}

/** Return the title that a graph carries; empty where there is none. */
export function titleIn(extra: unknown): string {
  const title = record(record(extra)['orchestrator'])['title']
  return typeof title === 'string' ? title : ''
}

function withOurs(extra: unknown, key: 'definitions' | 'title', text: string): Record<string, unknown> {
  const { orchestrator, ...rest } = record(extra)
  const ours = Object.entries(record(orchestrator)).filter(([name]) => name !== key)
  const kept: Record<string, unknown> = { ...Object.fromEntries(ours), ...(text === '' ? {} : { [key]: text }) }
  return Object.keys(kept).length === 0 ? rest : { ...rest, orchestrator: kept }
}

/** Return the ids of the definitions in a carried text; of one that cannot be read, none. */
export function carriedIds(text: string): ReadonlySet<string> {
  try {
    const definitions = record(JSON.parse(text))['definitions']
    const ids = Array.isArray(definitions) ? definitions.map((one) => record(one)['id']) : []
    return new Set(ids.filter((id) => typeof id === 'string'))
  } catch {
    return new Set()
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
