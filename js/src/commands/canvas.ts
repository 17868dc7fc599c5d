import type { Graph, GraphNode } from '@/host/comfy'
import type { Host } from '@/host/host'

import type { OutputOf } from './selection'

interface GraphPart extends Graph {
  readonly nodes?: readonly CanvasPart[]
}

interface CanvasPart extends GraphNode {
  readonly outputs?: readonly { readonly type?: unknown; readonly name?: string; readonly label?: string }[]
  /** Of a node that stands for a subgraph. */
  readonly subgraph?: GraphPart
}

/** The selected nodes as a prompt names them: `5`, or `3:5` inside of the subgraph that node 3 stands for. */
export function selectedIds(host: Host, besides?: GraphNode): string[] {
  const selected = Object.values(host.app.canvas?.selected_nodes ?? {})
  const nodes = besides === undefined || selected.includes(besides) ? selected : [besides]
  const prefix = pathTo(host.rootGraph() as GraphPart | null, host.shownGraph() as GraphPart | null)
  return nodes.map(({ id }) => [...prefix, id].join(':'))
}

/** What to call a workflow that is made of these nodes. */
export function titleOf(host: Host, ids: readonly string[]): string | null {
  const [only] = ids
  return ids.length === 1 && only !== undefined ? (nodeAt(host, only)?.title ?? null) : null
}

/** Look outputs up on the canvas, through subgraphs. */
export function outputsOf(host: Host): OutputOf {
  return (nodeId, index) => {
    const output = nodeAt(host, nodeId)?.outputs?.[index]
    if (output === undefined) return null
    const type = String(output.type ?? '*')
    return { type, name: output.label ?? output.name ?? type }
  }
}

function nodeAt(host: Host, path: string): CanvasPart | null {
  let graph = host.rootGraph() as GraphPart | null
  let node: CanvasPart | null = null
  for (const id of path.split(':')) {
    node = (graph?.getNodeById(id) ?? graph?.getNodeById(Number(id)) ?? null) as CanvasPart | null
    graph = node?.subgraph ?? null
  }
  return node
}

/** The ids of the nodes that lead from the root into a graph; the first way there where it is used more than once. */
function pathTo(root: GraphPart | null, wanted: GraphPart | null): (string | number)[] {
  if (root === wanted || root === null) return []
  for (const node of root.nodes ?? []) {
    if (node.subgraph === undefined) continue
    if (node.subgraph === wanted) return [node.id]
    const deeper = pathTo(node.subgraph, wanted)
    if (deeper.length > 0) return [node.id, ...deeper]
  }
  return []
}
