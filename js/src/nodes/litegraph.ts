import type { GraphNode } from '@/host/comfy'

/** What the host's nodes offer, as far as ours need it, in front ends 1.27 to 1.58. */

export interface Slot {
  name: string
  type: string
  label?: string | undefined
  /** What the host's own translation calls it; shown where there is no label. */
  localized_name?: string | undefined
  shape?: number | undefined
  /** Ties an input to a widget: it is drawn on the widget's row, and a link to it takes the widget's place. */
  widget?: { name: string; [key: symbol]: unknown } | undefined
  /** The host's own memory of that widget. */
  _widget?: unknown
}

export interface Widget {
  name: string
  type?: string
  value: unknown
  label?: string
  tooltip?: string
  hidden?: boolean
  disabled?: boolean
  /** Whether its value is stored with the workflow; `options.serialize`: whether it is sent with the prompt. */
  serialize?: boolean
  options: WidgetOptions
  linkedWidgets?: Widget[]
  callback?: ((this: Widget, value: unknown, ...rest: unknown[]) => void) | undefined
  computeLayoutSize?: () => { minHeight: number; maxHeight: number; minWidth: number }
  serializeValue?: (...args: unknown[]) => unknown
  /** Called when the user presses Run, before the prompt is made. */
  beforeQueued?: (...args: unknown[]) => void
}

export interface WidgetOptions {
  values?: unknown
  serialize?: boolean
  hidden?: boolean
  /** What the user sees of a value of a list; front ends that do not know of it show the value. */
  getOptionLabel?: (value: string | null) => string
  [key: string]: unknown
}

export interface Link {
  readonly type?: unknown
  readonly origin_id: string | number
  readonly origin_slot: number
  /** The reroute it ends behind. */
  readonly parentId?: number
}

export interface SerialisedNode {
  widgets_values?: unknown
  [key: string]: unknown
}

export const INPUT = 1
export const OUTPUT = 2
/** The shape of inputs that may stay unconnected. */
export const HOLLOW_CIRCLE = 7
/** The shape of outputs that are lists. */
export const GRID = 6

export interface CanvasNode extends GraphNode {
  inputs: Slot[]
  outputs: Slot[]
  widgets?: Widget[]
  properties: Record<string, unknown>
  size: [number, number]
  readonly constructor: { readonly title?: string }
  addInput(name: string, type: string, extra?: Partial<Slot>): Slot
  addOutput(name: string, type: string, extra?: Partial<Slot>): Slot
  removeInput(index: number): void
  removeOutput(index: number): void
  disconnectInput(index: number): unknown
  disconnectOutput(index: number): unknown
  isInputConnected(index: number): boolean
  isOutputConnected(index: number): boolean
  getInputLink(index: number): Link | null | undefined
  connect(output: number, target: CanvasNode, input: number, afterReroute?: number): unknown
  addWidget(
    type: string,
    name: string,
    value: unknown,
    callback: ((value: unknown) => void) | null,
    options?: WidgetOptions,
  ): Widget
  addDOMWidget(name: string, type: string, element: HTMLElement, options?: WidgetOptions): Widget
  removeWidget?(widget: Widget): void
  computeSize(): [number, number]
  setSize(size: [number, number]): void
  setDirtyCanvas(foreground: boolean, background?: boolean): void
  onConfigure?: ((data: SerialisedNode) => void) | undefined
  onSerialize?: ((data: SerialisedNode) => void) | undefined
  onAdded?: ((graph: unknown) => void) | undefined
  onRemoved?: (() => void) | undefined
  onExecuted?: ((output: unknown) => void) | undefined
  onConnectionsChange?: ((side: number, index: number, connected: boolean, ...rest: unknown[]) => void) | undefined
}

/** Makes a widget as the host makes those that nodes declare. */
export type WidgetConstructor = (
  node: CanvasNode,
  name: string,
  spec: readonly [unknown, Readonly<Record<string, unknown>>],
  app: unknown,
) => { readonly widget: Widget } | Widget | undefined

type Hook =
  | 'onAdded'
  | 'onConfigure'
  | 'onConnectionsChange'
  | 'onExecuted'
  | 'onRemoved'
  | 'onSerialize'

/** Call `added` after what a node's hook did before. The names are the host's, which calls them on the instance. */
export function chain<K extends Hook>(node: CanvasNode, hook: K, added: NonNullable<CanvasNode[K]>): void {
  const before = node[hook] as ((...args: unknown[]) => unknown) | undefined
  node[hook] = function (this: CanvasNode, ...args: unknown[]) {
    const result = before?.apply(this, args)
    ;(added as (...args: unknown[]) => void).apply(this, args)
    return result
  } as NonNullable<CanvasNode[K]>
}

export function widgetNamed(node: CanvasNode, name: string): Widget | undefined {
  return node.widgets?.find((widget) => widget.name === name)
}

/** Remove a widget and what belongs to it, whatever the front end's version calls that. */
export function removeWidget(node: CanvasNode, widget: Widget): void {
  for (const linked of widget.linkedWidgets ?? []) removeWidget(node, linked)
  if (!node.widgets?.includes(widget)) return
  if (node.removeWidget) node.removeWidget(widget)
  else node.widgets.splice(node.widgets.indexOf(widget), 1)
}

/**
 * Add an input before others. Links know their slots by position, so those behind are taken off and put back, each with
 * its link. Where a link comes from the edge of a subgraph the new input goes to the end instead.
 */
export function insertInput(node: CanvasNode, index: number, name: string, type: string, extra: Partial<Slot>): void {
  const behind = node.inputs.slice(index).map((slot, offset) => ({ slot, link: node.getInputLink(index + offset) ?? null }))
  const origins = behind.map(({ link }) => (link === null ? null : (node.graph?.getNodeById(link.origin_id) ?? null)))
  if (behind.some(({ slot, link }, at) => slot.widget !== undefined || (link !== null && origins[at] === null))) {
    node.addInput(name, type, extra)
    return
  }
  const kept = behind.map(({ link }) => link && { from: link.origin_slot, reroute: link.parentId })
  for (let at = node.inputs.length - 1; at >= index; at--) node.removeInput(at)
  node.addInput(name, type, extra)
  behind.forEach(({ slot }, at) => {
    const { label, localized_name, shape } = slot
    node.addInput(slot.name, slot.type, { label, localized_name, shape })
    const link = kept[at]
    if (link) (origins[at] as CanvasNode).connect(link.from, node, node.inputs.length - 1, link.reroute)
  })
}

/** Keep a widget out of sight in both renderers. Its value is stored and sent as before. */
export function hide(widget: Widget): void {
  widget.hidden = true
  widget.options.hidden = true
  // Front ends before 1.4x keep the place of a hidden text area.
  widget.computeLayoutSize = () => ({ minHeight: 0, maxHeight: 0, minWidth: 0 })
}

/** Keep a widget's value out of stored workflows and of prompts. */
export function forget(widget: Widget): void {
  widget.serialize = false
  widget.options.serialize = false
  for (const linked of widget.linkedWidgets ?? []) forget(linked)
}

const announced = new WeakSet<CanvasNode>()
/** What slots were called when they were last announced. */
const announcedNames = new WeakMap<Slot, string>()

/**
 * Have a node that changed drawn anew. Nodes 2.0 of front end 1.32 copies slots and widgets of a node when it is added to
 * the graph, and only then; it is told by an accessor that it puts on the node. Others need no telling.
 */
function announce(node: CanvasNode): void {
  if (announced.has(node) || Object.getOwnPropertyDescriptor(node, 'widgets')?.get === undefined) return
  announced.add(node)
  // Behind the present change, at whose end it writes down what it copied before.
  setTimeout(() => {
    announced.delete(node)
    replaceRenamed(node, node.inputs)
    replaceRenamed(node, node.outputs)
    const graph = node.graph as { onNodeAdded?(node: CanvasNode): void } | null | undefined
    graph?.onNodeAdded?.(node)
  })
}

/**
 * Put an equal object in the place of each slot that is called otherwise now: what draws a slot there looks at it again only
 * when it is another one. Links know slots by their position.
 */
function replaceRenamed(node: CanvasNode, slots: Slot[]): void {
  slots.forEach((slot, index) => {
    const name = slot.localized_name ?? slot.name
    if (announcedNames.get(slot) === name) return
    const SlotClass = slot.constructor as new (slot: Slot, node: CanvasNode) => Slot
    const equal = Object.getPrototypeOf(slot) === Object.prototype ? { ...slot } : new SlotClass(slot, node)
    if (slot._widget !== undefined) equal._widget = slot._widget
    slots[index] = equal
    announcedNames.set(equal, name)
  })
}

/** Make a node as tall as its content needs, and leave a height the user has chosen beyond that. */
export function growToContent(node: CanvasNode): void {
  const [width, height] = node.computeSize()
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)])
  node.setDirtyCanvas(true, true)
  announce(node)
}

/** Make a node exactly as tall as its content needs. */
export function fitToContent(node: CanvasNode): void {
  const [width, height] = node.computeSize()
  node.setSize([Math.max(node.size[0], width), height])
  node.setDirtyCanvas(true, true)
  announce(node)
}
