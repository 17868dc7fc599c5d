import type { GraphNode } from '@/host/comfy'
import type { Host } from '@/host/host'

interface View {
  centerOnNode?(node: GraphNode): void
  selectNode?(node: GraphNode): void
  setGraph?(graph: unknown): void
  readonly graph?: unknown
}

interface Inner extends GraphNode {
  readonly subgraph?: { getNodeById(id: string | number): GraphNode | null | undefined }
}

/** The node of an execution id, `7` or `12:7` inside of a subgraph, if the graph on the canvas has it. */
export function findNode(host: Host, nodeId: string): GraphNode | null {
  let graph: { getNodeById(id: string | number): GraphNode | null | undefined } | null | undefined = host.rootGraph()
  let node: GraphNode | null = null
  for (const part of nodeId.split(':')) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part)) ?? null
    graph = (node as Inner | null)?.subgraph
  }
  return node
}

/** Show a node on the canvas and select it. Returns whether it is there. */
export function showNode(host: Host, nodeId: string): boolean {
  const node = findNode(host, nodeId)
  const view = host.app.canvas as View | undefined
  if (!node || !view) return false
  if (node.graph && node.graph !== view.graph) view.setGraph?.(node.graph)
  view.selectNode?.(node)
  view.centerOnNode?.(node)
  return true
}
