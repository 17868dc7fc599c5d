import type { Definition } from '@/api/schemas/library'
import type { GraphNode } from '@/host/comfy'
import type { Host } from '@/host/host'

import { isRecord } from './draft'

export const REMOTE_WORKFLOW = 'OrchestratorRemoteWorkflow'
/** What a dragged definition is called in a drag's data; its value is the definition's id. */
export const DRAG_TYPE = 'application/x-orchestrator-definition'

type Point = readonly [number, number]

interface Placeable extends GraphNode {
  pos: [number, number]
  readonly size: ArrayLike<number>
  readonly widgets?: { readonly name: string; value: unknown; callback?(value: unknown): void }[]
}

interface LiteGraphApi {
  createNode(type: string): Placeable | null
}

interface View {
  readonly canvas: HTMLCanvasElement
  readonly ds: { readonly scale: number; readonly offset: ArrayLike<number> }
  readonly graph?: {
    readonly nodes?: readonly Placeable[]
    add(node: Placeable): void
    beforeChange?(): void
    afterChange?(): void
  } | null
  selectNode?(node: Placeable): void
}

/**
 * Put a Remote Workflow node for a definition on the canvas.
 *
 * @param at where on the page; the middle of the canvas if left out.
 * @throws Error when there is no canvas, or it does not know the node.
 */
export function placeDefinition(host: Host, definitionId: string, at?: Point): void {
  const view = host.app.canvas as unknown as View | undefined
  const node = (globalThis as { LiteGraph?: LiteGraphApi }).LiteGraph?.createNode(REMOTE_WORKFLOW)
  const graph = view?.graph
  if (!view || !graph || !node) throw new Error('The canvas cannot take the node: reload the page.')
  const box = view.canvas.getBoundingClientRect()
  const [x, y] = at ?? [box.x + box.width / 2, box.y + box.height / 3]
  graph.beforeChange?.()
  const [dx, dy] = [Number(view.ds.offset[0]), Number(view.ds.offset[1])]
  const wanted: [number, number] = [(x - box.x) / view.ds.scale - dx, (y - box.y) / view.ds.scale - dy]
  // Where the user dropped it, or else in the middle, beside what was put there before.
  node.pos = at === undefined ? beside([wanted[0] - WIDTH / 2, wanted[1]], graph.nodes ?? []) : wanted
  graph.add(node)
  const workflow = node.widgets?.find((widget) => widget.name === 'workflow')
  if (workflow) {
    workflow.value = definitionId
    workflow.callback?.(definitionId)
  }
  graph.afterChange?.()
  view.selectNode?.(node)
  host.app.canvas?.setDirty(true, true)
}

/** About what a Remote Workflow node takes once it has its workflow's widgets. */
const WIDTH = 320
const GAP = 40

/** The first place from a point to the right where a node hides no other one. */
function beside([x, y]: [number, number], nodes: readonly Placeable[]): [number, number] {
  const width = (one: Placeable) => Number(one.size[0])
  const inTheWay = nodes.filter((one) => {
    const [left, top] = one.pos
    return left < x + WIDTH && left + width(one) > x && top < y + WIDTH && top + Number(one.size[1]) > y
  })
  if (inTheWay.length === 0) return [x, y]
  return beside([Math.max(...inTheWay.map((one) => one.pos[0] + width(one))) + GAP, y], nodes)
}

/**
 * Let definitions be dropped on the canvas. The listeners are the document's, because newer front ends lay elements of
 * their own over the canvas; a drop on the sidebar is none.
 *
 * @returns how to stop.
 */
export function acceptDrops(host: Host, report: (error: unknown) => void): () => void {
  const onCanvas = (event: DragEvent): boolean => {
    if (!event.dataTransfer?.types.includes(DRAG_TYPE)) return false
    return !(event.target instanceof Element && event.target.closest('.orc-root, .side-bar-panel, .comfyui-body-left'))
  }
  const over = (event: DragEvent) => {
    if (!onCanvas(event)) return
    event.preventDefault()
    if (event.dataTransfer) event.dataTransfer.dropEffect = 'copy'
  }
  const drop = (event: DragEvent) => {
    if (!onCanvas(event)) return
    event.preventDefault()
    event.stopPropagation()
    try {
      placeDefinition(host, event.dataTransfer?.getData(DRAG_TYPE) ?? '', [event.clientX, event.clientY])
    } catch (error) {
      report(error)
    }
  }
  document.addEventListener('dragover', over, true)
  document.addEventListener('drop', drop, true)
  return () => {
    document.removeEventListener('dragover', over, true)
    document.removeEventListener('drop', drop, true)
  }
}

/** Which definition the graph on the canvas was opened from, if any: it stands in the workflow itself. */
export function editedDefinition(host: Host): string | null {
  const extra = (host.rootGraph() as { extra?: unknown } | null)?.extra
  const source = isRecord(extra) && isRecord(extra['orchestrator']) ? extra['orchestrator']['source'] : undefined
  return isRecord(source) && typeof source['id'] === 'string' ? source['id'] : null
}

/**
 * Open a definition's workflow on the canvas, marked so that it can be saved back.
 *
 * @throws Error when it came in without a workflow and this front end cannot lay out a prompt.
 */
export async function openOnCanvas(host: Host, definition: Definition): Promise<void> {
  const { app } = host
  const source = { id: definition.id, version: definition.version }
  if (definition.workflow !== null && app.loadGraphData !== undefined) {
    const workflow = structuredClone(definition.workflow)
    const extra = isRecord(workflow['extra']) ? workflow['extra'] : {}
    const ours = isRecord(extra['orchestrator']) ? extra['orchestrator'] : {}
    workflow['extra'] = { ...extra, orchestrator: { ...ours, source } }
    await app.loadGraphData(workflow, true, true, definition.name)
    return
  }
  const loadApiJson = (app as { loadApiJson?: (prompt: unknown, name: string) => unknown }).loadApiJson
  if (loadApiJson === undefined) throw new Error('This definition has no workflow, only a prompt in API format.')
  await loadApiJson.call(app, structuredClone(definition.prompt), definition.name)
  const graph = host.rootGraph() as { extra?: Record<string, unknown> } | null
  if (graph) graph.extra = { ...graph.extra, orchestrator: { source } }
}
