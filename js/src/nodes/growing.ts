import { gridNames, inputNames, shownCount } from './growth'
import {
  chain,
  fitToContent,
  GRID,
  growToContent,
  HOLLOW_CIRCLE,
  insertInput,
  widgetNamed,
  type CanvasNode,
} from './litegraph'

export const MERGE = 'OrchestratorMerge'
export const CONDITION = 'OrchestratorCondition'
export const FAN_OUT = 'OrchestratorFanOut'

export const LETTERS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const

/** A row of inputs that grows at the front of it: their names, and what they are called. */
interface InputRow {
  readonly names: readonly string[]
  readonly least: number
  label?(node: CanvasNode): readonly string[]
}

/** The outputs behind the first `fixed` ones, which grow as they are connected, or as the widgets say. */
interface OutputRow {
  readonly fixed: number
  readonly names: readonly string[]
  readonly least: number
  /** How many the inputs and widgets call for. */
  called(node: CanvasNode, shownInputs: readonly number[]): number
  label?(node: CanvasNode): readonly string[]
}

export interface Growing {
  readonly inputs: readonly InputRow[]
  readonly outputs: OutputRow | null
  /** Widgets that change what is shown. */
  readonly watched: readonly string[]
}

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}_${index + 1}`)

export const GROWING: Readonly<Record<string, Growing>> = {
  [MERGE]: { inputs: [{ names: numbered('in', 32), least: 2 }], outputs: null, watched: [] },
  [CONDITION]: {
    inputs: [
      { names: numbered('value', 8), least: 1 },
      { names: LETTERS, least: 1, label: (node) => inputNames(textOf(node, 'names'), LETTERS) },
    ],
    outputs: {
      fixed: 1,
      names: Array.from({ length: 8 }, (_, index) => [`true_${index + 1}`, `false_${index + 1}`]).flat(),
      least: 2,
      // A pair for each value that is routed; what is only offered needs no branches yet.
      called: (_, [routed = 1]) => 2 * Math.max(1, routed - 1),
    },
    watched: ['names'],
  },
  [FAN_OUT]: {
    inputs: [],
    outputs: {
      fixed: 3,
      names: numbered('out', 16),
      least: 0,
      called: (node) => (source(node) === 'grid' ? gridNames(textOf(node, 'text')).length : numberOf(node, 'distribute')),
      label: (node) => (source(node) === 'grid' ? gridNames(textOf(node, 'text')) : []),
    },
    watched: ['source', 'text', 'distribute'],
  },
}

/**
 * A node of which only the slots in use are shown, and a free one after them.
 *
 * It has none of the declared slots while it is made, so that those of a stored node come back in their stored order.
 */
export class GrowingNode {
  private pending = false
  private shown: readonly number[] = []

  constructor(
    private readonly node: CanvasNode,
    private readonly growing: Growing,
    /** Whether a graph is being put together: then its links are not to be moved. */
    configuring: () => boolean,
  ) {
    this.strip()
    for (const name of growing.watched) {
      const widget = widgetNamed(node, name)
      if (!widget) continue
      const before = widget.callback
      widget.callback = (...args) => {
        before?.apply(widget, args)
        this.growSoon()
      }
    }
    chain(node, 'onConfigure', () => this.growSoon())
    chain(node, 'onConnectionsChange', () => this.growSoon())
    chain(node, 'onAdded', () => {
      if (!configuring()) this.grow()
    })
    fitToContent(node)
  }

  /** Once the present change is over. */
  private growSoon(): void {
    if (this.pending) return
    this.pending = true
    queueMicrotask(() => {
      this.pending = false
      if (this.node.graph) this.grow()
    })
  }

  private strip(): void {
    const { node, growing } = this
    const growable = new Set(growing.inputs.flatMap(({ names }) => names))
    for (let index = node.inputs.length - 1; index >= 0; index--) {
      if (growable.has(node.inputs[index]?.name ?? '')) node.removeInput(index)
    }
    if (growing.outputs === null) return
    for (let index = node.outputs.length - 1; index >= growing.outputs.fixed; index--) node.removeOutput(index)
  }

  private grow(): void {
    const { node, growing } = this
    const before = this.shape()
    this.shown = growing.inputs.map((row, number) => this.growInputs(row, growing.inputs[number + 1]))
    if (growing.outputs !== null) this.growOutputs(growing.outputs)
    if (before !== this.shape()) growToContent(node)
    node.setDirtyCanvas(true, false)
  }

  /** Which slots there are, as far as they can be seen. */
  private shape(): string {
    const { inputs, outputs } = this.node
    return JSON.stringify([inputs, outputs].map((slots) => slots.map(({ label, name }) => label ?? name)))
  }

  private growInputs({ names, least, label }: InputRow, next: InputRow | undefined): number {
    const { node } = this
    const at = (name: string) => node.inputs.findIndex((slot) => slot.name === name)
    const used = names.flatMap((name, position) => {
      const index = at(name)
      return index >= 0 && node.isInputConnected(index) ? [position] : []
    })
    const count = shownCount({ declared: names.length, least }, used)
    for (const name of names.slice(count).reverse()) {
      const index = at(name)
      if (index >= 0) node.removeInput(index)
    }
    const labels = label?.(node)
    names.slice(0, count).forEach((name, position) => {
      if (at(name) < 0) {
        const behind = next?.names.map(at).filter((index) => index >= 0) ?? []
        insertInput(node, Math.min(node.inputs.length, ...behind), name, '*', { shape: HOLLOW_CIRCLE })
      }
      const slot = node.inputs[at(name)]
      if (labels && slot) slot.label = slot.localized_name = labels[position] ?? name
    })
    return count
  }

  private growOutputs({ fixed, names, least, called, label }: OutputRow): void {
    const { node } = this
    let last = -1
    node.outputs.forEach((_, index) => {
      if (index >= fixed && node.isOutputConnected(index)) last = index - fixed
    })
    // What is connected stays, also beyond the row: graphs made without this bundle may use the last output.
    const count = Math.max(least, last + 1, Math.min(names.length, called(node, this.shown)))
    while (node.outputs.length > fixed + count) node.removeOutput(node.outputs.length - 1)
    while (node.outputs.length < fixed + Math.min(count, names.length)) {
      node.addOutput(names[node.outputs.length - fixed] ?? '', '*', { shape: GRID })
    }
    const labels = label?.(node) ?? []
    names.slice(0, count).forEach((name, position) => {
      const slot = node.outputs[fixed + position]
      if (slot) slot.label = slot.localized_name = labels[position] ?? name
    })
  }
}

function textOf(node: CanvasNode, name: string): string {
  const value = widgetNamed(node, name)?.value
  return typeof value === 'string' ? value : ''
}

function numberOf(node: CanvasNode, name: string): number {
  const value = widgetNamed(node, name)?.value
  return typeof value === 'number' ? value : 0
}

function source(node: CanvasNode): string {
  return textOf(node, 'source')
}
