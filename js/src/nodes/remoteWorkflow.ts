import type { Translate } from '@/i18n/translate'

import { defaultInputs, defaultOutputs, fittingValues, isFile, SLOTS, type Face } from './face'
import type { InputImages } from './files'
import type { Library } from './library'
import {
  chain,
  fitToContent,
  GRID,
  growToContent,
  hide,
  HOLLOW_CIRCLE,
  removeWidget,
  widgetNamed,
  type CanvasNode,
  type SerialisedNode,
  type Slot,
} from './litegraph'
import { noticeFor, type Notice } from './notice'
import { outcomeLine } from './outcome'
import { NOTHING_SAID, parseParameters, printParameters, type NodeParameters } from './parameters'
import { ParameterWidgets, type Controls, type WidgetMaker } from './parameterWidgets'
import { planSlots, typesFit, type Meaning, type Present } from './slots'
import { StatusLine, type StatusContent } from './statusLine'

/** Where out_1 stands: `index` and `info` come first. */
const FIRST_OUTPUT = 2
const INPUT_NAME = /^in_([1-9]\d*)$/
/** The widget in which the host shows a line of progress that the server sent for a node. */
const PROGRESS_TEXT = '$$node-text-preview'
/** Where a node keeps what becomes of its seeds after a run; the server has no word in it. */
const CONTROLS = 'orchestrator_controls'

/** What a node needs of the rest of the page. */
export interface Surroundings {
  readonly app: WidgetMaker
  readonly library: Library
  readonly images: InputImages
  readonly t: Translate
  /** Tell of something that went wrong. */
  failed(error: unknown): void
  /** Whether a graph is being put together from stored data. */
  configuring(): boolean
  /** Whether the graph brought the definition of a workflow along. */
  embeds(id: string): boolean
  /** Take such a definition into the library. */
  importEmbedded(id: string): void
  /** A node was given a workflow, or another version of it. */
  changed(): void
}

/**
 * One Remote Workflow node on the canvas. The server declares sixteen inputs and outputs; the node shows those of the
 * chosen workflow, under their names. What the slots and widgets mean is kept in the text of `parameters`.
 */
export class RemoteWorkflowNode {
  private readonly widgets: ParameterWidgets
  private readonly status: StatusLine
  /** What the text says; null: it cannot be read and is left alone. */
  private parameters: NodeParameters | null = NOTHING_SAID
  /** The face that the widgets are for. */
  private face: Face | null = null
  private badge: StatusContent | null = null
  private storing = false

  constructor(
    readonly node: CanvasNode,
    private readonly around: Surroundings,
  ) {
    const words = { upload: () => around.t('nodes.upload'), failed: around.failed }
    this.widgets = new ParameterWidgets(node, around.app, around.images, words, () => this.store())
    this.status = new StatusLine(node)
    this.strip()
    const chooser = widgetNamed(node, 'workflow')
    if (chooser) {
      const before = chooser.callback
      chooser.callback = (...args) => {
        before?.apply(chooser, args)
        this.choose()
      }
    }
    const text = widgetNamed(node, 'parameters')
    if (text) {
      hide(text)
      text.serializeValue = () => this.store()
      const before = text.callback
      text.callback = (...args) => {
        before?.apply(text, args)
        if (!this.storing && !around.configuring()) this.reread()
      }
    }
    chain(node, 'onConfigure', () => this.restore())
    chain(node, 'onSerialize', (data) => this.serialise(data))
    chain(node, 'onConnectionsChange', () => queueMicrotask(() => this.tell()))
    chain(node, 'onExecuted', (output) => this.showOutcome(outcomeLine(output, around.t)))
    this.offerWorkflows()
    this.restore()
    fitToContent(node)
  }

  get workflow(): string {
    const value = widgetNamed(this.node, 'workflow')?.value
    return typeof value === 'string' ? value : ''
  }

  /** The library changed, or became known. */
  refresh(): void {
    this.offerWorkflows()
    const face = this.known()
    if (face !== null && this.parameters !== null) {
      if (this.face === null || this.face.content_hash !== face.content_hash) this.adopt(face, this.parameters)
      else this.widgets.offer(face, this.around.library.offered(face.id))
      this.face = face
    }
    this.tell()
  }

  /** Give the node the slots and widgets of its workflow as it is now, keeping what fits. */
  renew(): void {
    const face = this.known()
    if (face === null) return
    const before = this.parameters ?? NOTHING_SAID
    const said = this.parameters === null ? {} : this.widgets.values(before.values)
    const inputs = this.shapeInputs(face, before)
    const outputs = this.shapeOutputs(face, before)
    this.parameters = { version: face.version, values: fittingValues(face, said), inputs, outputs }
    this.adopt(face, this.parameters)
    this.store()
    this.tell()
    fitToContent(this.node)
    this.around.changed()
  }

  /** Jobs of the node run: the host shows the server's line of progress, and what was before is over. */
  progressed(): void {
    this.badge = null
    this.tell()
  }

  private showOutcome(badge: StatusContent | null): void {
    this.badge = badge
    // The line of progress has nothing more to say.
    const progress = widgetNamed(this.node, PROGRESS_TEXT)
    if (progress) removeWidget(this.node, progress)
    this.tell()
  }

  // --- life

  /** Take away what the class declares for any workflow; stored nodes bring their own slots. */
  private strip(): void {
    const { node } = this
    for (let index = node.inputs.length - 1; index >= 0; index--) {
      const name = node.inputs[index]?.name ?? ''
      if (INPUT_NAME.test(name) || name === 'parameters') node.removeInput(index)
    }
    for (let index = node.outputs.length - 1; index >= FIRST_OUTPUT; index--) node.removeOutput(index)
  }

  /** Read the node as it was stored, or as it was just made. Links stay as they are: the graph is not whole yet. */
  private restore(): void {
    const text = widgetNamed(this.node, 'parameters')?.value
    this.parameters = parseParameters(text ?? '')
    this.face = null
    const face = this.known()
    if (face !== null && this.parameters !== null) this.adopt(face, this.parameters)
    else this.untie()
    queueMicrotask(() => {
      // The graph is whole now. Nodes that were not shaped here have all the declared slots, whatever they use of them.
      if (this.parameters?.inputs === null && this.face !== null) this.renew()
      else this.trim()
      this.tell()
    })
  }

  /** Somebody else set the text: a prompt was loaded as a graph, or another extension did. */
  private reread(): void {
    this.restore()
    if (this.face !== null && this.node.graph) this.renew()
  }

  /** Take away unconnected slots that mean nothing. */
  private trim(): void {
    const { node, parameters } = this
    if (parameters === null) return
    const before = node.inputs.length + node.outputs.length
    const { inputs, outputs } = parameters
    for (let index = node.inputs.length - 1; index >= 0 && inputs !== null; index--) {
      const name = node.inputs[index]?.name ?? ''
      const meaningless = name === 'parameters' || Number(INPUT_NAME.exec(name)?.[1]) > inputs.length
      if (meaningless && !node.isInputConnected(index)) node.removeInput(index)
    }
    for (let index = node.outputs.length - 1; outputs !== null && index >= FIRST_OUTPUT + outputs.length; index--) {
      if (node.isOutputConnected(index)) break
      node.removeOutput(index)
    }
    if (node.inputs.length + node.outputs.length < before) fitToContent(node)
  }

  private choose(): void {
    const before = this.face
    const face = this.known()
    if (face === null) {
      this.tell()
      return
    }
    const { node } = this
    if (node.title === node.constructor.title || node.title === before?.name) node.title = face.name
    this.renew()
  }

  private serialise(data: SerialisedNode): void {
    const text = this.store()
    const position = this.node.widgets?.findIndex(({ name }) => name === 'parameters') ?? -1
    if (Array.isArray(data.widgets_values) && position >= 0) data.widgets_values[position] = text
    const controls = this.widgets.controls()
    if (Object.keys(controls).length > 0) {
      data['properties'] = { ...(data['properties'] as object | undefined), [CONTROLS]: controls }
    }
  }

  /** Bring the text up to what the widgets say, and return it. */
  private store(): string {
    const widget = widgetNamed(this.node, 'parameters')
    const text = typeof widget?.value === 'string' ? widget.value : ''
    if (widget === undefined || this.parameters === null || this.face === null) return text
    const values = this.widgets.values(this.parameters.values)
    this.parameters = { ...this.parameters, values }
    const printed = printParameters(this.parameters)
    // What says the same is left as it was written: by hand, by an older version, or with numbers that only the server
    // reads exactly.
    if (text.trim() !== '' && printParameters(parseParameters(text) ?? NOTHING_SAID) === printed) return text
    this.storing = true
    widget.value = printed // text areas call back
    this.storing = false
    return printed
  }

  // --- slots

  private shapeInputs(face: Face, before: NodeParameters): readonly string[] {
    const { node } = this
    const meanings = defaultInputs(face)
    const slots = node.inputs.flatMap((slot, index) => (INPUT_NAME.test(slot.name) ? [index] : []))
    const named = before.inputs ?? defaultInputs(this.face ?? face).map(({ name }) => name)
    const present = slots.map((index): Present => {
      const number = Number(INPUT_NAME.exec(node.inputs[index]?.name ?? '')?.[1])
      const name = named[number - 1]
      return { ...(name === undefined ? {} : { name }), ...typeOf(node.inputs[index]), linked: node.isInputConnected(index) }
    })
    const plan = planSlots(present, meanings, (slot, meaning) => {
      const link = node.getInputLink(slots[slot] ?? -1)
      return typesFit(String(link?.type ?? '*'), meanings[meaning]?.type ?? '*')
    })
    for (const slot of plan.unlinked) node.disconnectInput(slots[slot] ?? -1)
    for (const slot of plan.removed) node.removeInput(slots[slot] ?? -1)
    const kept = node.inputs.filter(({ name }) => INPUT_NAME.test(name))
    return plan.slots.map(({ meaning }, position) => {
      const wanted = meanings[meaning] as Meaning
      const slot = kept[position] ?? node.addInput(`in_${position + 1}`, wanted.type)
      call(slot, `in_${position + 1}`, wanted.name)
      return wanted.name
    })
  }

  private shapeOutputs(face: Face, before: NodeParameters): readonly string[] {
    const { node } = this
    const meanings = defaultOutputs(face)
    const names = before.outputs ?? defaultOutputs(this.face ?? face).map(({ name }) => name)
    // `report` and what lies behind the workflow's own outputs is shown only in graphs that use it.
    const present = node.outputs.slice(FIRST_OUTPUT).map((slot, index): Present => {
      const name = names[index]
      const linked = node.isOutputConnected(FIRST_OUTPUT + index)
      return { ...(name === undefined ? {} : { name }), ...typeOf(slot), linked }
    })
    if (present.length > SLOTS && present[SLOTS]?.linked === true) {
      this.labelOutputs(meanings)
      return meanings.map(({ name }) => name)
    }
    const plan = planSlots(present, meanings, (slot, meaning) =>
      typesFit(present[slot]?.type ?? '*', meanings[meaning]?.type ?? '*'),
    )
    for (const slot of plan.unlinked) node.disconnectOutput(FIRST_OUTPUT + slot)
    for (const slot of plan.removed) node.removeOutput(FIRST_OUTPUT + slot)
    for (let position = node.outputs.length - FIRST_OUTPUT; position < plan.slots.length; position++) {
      node.addOutput(`out_${position + 1}`, '*', { shape: GRID })
    }
    const chosen = plan.slots.map(({ meaning }) => meanings[meaning] as Meaning)
    this.labelOutputs(chosen)
    return chosen.map(({ name }) => name)
  }

  private labelOutputs(meanings: readonly Meaning[]): void {
    meanings.forEach(({ name, type }, position) => {
      const slot = this.node.outputs[FIRST_OUTPUT + position]
      if (slot === undefined) return
      call(slot, `out_${position + 1}`, name)
      slot.type = type
    })
  }

  /** Make widgets for a face, and name and tie the slots that are there. No slot that has a link is touched otherwise. */
  private adopt(face: Face, parameters: NodeParameters): void {
    const { node } = this
    const controls = (node.properties[CONTROLS] ?? {}) as Controls
    this.widgets.build(face, parameters.values, controls, this.around.library.offered(face.id))
    this.status.sink()
    this.face = face
    if (parameters.inputs === null) return
    const known = new Map(face.parameters.map((parameter) => [parameter.name, parameter]))
    const tied = parameters.inputs.flatMap((name, position) => {
      const parameter = known.get(name)
      if (parameter === undefined) return []
      const slotName = `in_${position + 1}`
      // Inputs of widgets that nothing is connected to are left out when a workflow is stored.
      const slot = node.inputs.find((one) => one.name === slotName) ?? node.addInput(slotName, parameter.type)
      slot.type = parameter.type
      if (slot.label === undefined) call(slot, slotName, name)
      slot.shape = isFile(parameter.type) && !parameter.required ? HOLLOW_CIRCLE : undefined
      return [{ slot, name }]
    })
    this.widgets.tie(tied)
    const yielded = new Map(face.outputs.map((output) => [output.name, output]))
    this.labelOutputs((parameters.outputs ?? []).map((name) => yielded.get(name) ?? { name, type: '*' }))
  }

  /** Without a face there are no widgets: then inputs stand for themselves, so that the host keeps their links. */
  private untie(): void {
    this.widgets.clear()
    for (const slot of this.node.inputs) if (INPUT_NAME.test(slot.name)) delete slot.widget
  }

  // --- what is told

  private known(): Face | null {
    return this.around.library.faces()?.get(this.workflow) ?? null
  }

  private offerWorkflows(): void {
    const faces = this.around.library.faces()
    const chooser = widgetNamed(this.node, 'workflow')
    if (faces !== null && chooser) chooser.options.values = [...faces.keys()]
  }

  private tell(): void {
    const { around, node, parameters, workflow } = this
    const connected = new Set<string>()
    node.inputs.forEach((slot, index) => {
      const number = INPUT_NAME.exec(slot.name)?.[1]
      const name = parameters?.inputs?.[Number(number) - 1]
      if (name !== undefined && node.isInputConnected(index)) connected.add(name)
    })
    const notice = noticeFor({
      workflow,
      parameters,
      faces: around.library.faces(),
      embedded: around.embeds(workflow),
      connected,
    })
    if (this.status.show(this.content(notice) ?? this.badge)) growToContent(node)
    node.setDirtyCanvas(true, false)
  }

  private content(notice: Notice): StatusContent | null {
    const { t } = this.around
    const renew = { label: t('nodes.update'), run: () => this.renew() }
    switch (notice.kind) {
      case 'none':
        return null
      case 'empty':
        return { tone: 'warn', text: t('nodes.libraryEmpty') }
      case 'unknown':
        return {
          tone: 'error',
          text: t('nodes.unknownWorkflow', { id: notice.id }),
          actions: notice.embedded
            ? [{ label: t('nodes.importEmbedded'), run: () => this.around.importEmbedded(notice.id) }]
            : [],
        }
      case 'unreadable':
        return {
          tone: 'error',
          text: t('nodes.unreadable'),
          actions: [{ label: t('nodes.reset'), run: () => this.renew() }],
        }
      case 'broken':
        return { tone: 'error', text: t('nodes.broken', { gone: notice.gone.join(', ') }), actions: [renew] }
      case 'newer':
        return { tone: 'warn', text: t('nodes.newer', { version: notice.version }), actions: [renew] }
    }
  }
}

function call(slot: Slot, name: string, label: string): void {
  slot.name = name
  slot.label = label
  slot.localized_name = label // the one that Nodes 2.0 of front end 1.32 shows
}

function typeOf(slot: Slot | undefined): { type?: string } {
  return slot === undefined ? {} : { type: slot.type }
}

