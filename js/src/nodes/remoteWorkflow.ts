import { isStored } from '@/api/valueTypes'
import type { Translate } from '@/i18n/translate'

import { fittingValues, type Face } from './face'
import type { InputFiles } from './files'
import type { Resolution } from './foreign'
import type { Library } from './library'
import {
  chain,
  fitToContent,
  growToContent,
  hide,
  HOLLOW_CIRCLE,
  removeWidget,
  widgetNamed,
  type CanvasNode,
  type SerialisedNode,
} from './litegraph'
import { noticeFor, type Notice } from './notice'
import { outcomeLine } from './outcome'
import { NOTHING_SAID, parseParameters, printParameters, type NodeParameters } from './parameters'
import { ParameterWidgets, type Controls, type WidgetMaker } from './parameterWidgets'
import { INPUT_NAME, labelOutputs, rename, shapeInputs, shapeOutputs, strip, trim } from './shape'
import { StatusLine, type StatusContent } from './statusLine'
import { workflowLabels } from './workflowLabels'

/** The widget in which the host shows a line of progress that the server sent for a node. */
const PROGRESS_TEXT = '$$node-text-preview'
/** Where a node keeps what becomes of its seeds after a run; the server has no word in it. */
const CONTROLS = 'orchestrator_controls'

/** What a node needs of the rest of the page. */
export interface Surroundings {
  readonly app: WidgetMaker
  readonly library: Library
  readonly files: InputFiles
  /** What `backend` may say; null as long as the server has not told. */
  backends(): readonly string[] | null
  readonly t: Translate
  /** Tell of something that went wrong. */
  failed(error: unknown): void
  /** Whether a graph is being put together from stored data. */
  configuring(): boolean
  /** Whether the graph brought the definition of a workflow along. */
  embeds(id: string): boolean
  /** Take such a definition into the library. */
  importEmbedded(id: string): void
  /** Whether the graph brought another workflow along than the library has under this id. */
  foreign(id: string): boolean
  /** Say which of the two counts. */
  resolve(id: string, resolution: Resolution): void
  /** A node was given a workflow, or another version of it. */
  changed(): void
  /** The graph is about to be run. */
  queueing(): void
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
    const words = {
      upload: () => around.t('nodes.upload'),
      exactly: (value: bigint) => around.t('nodes.exactly', { value: value.toString() }),
      failed: around.failed,
    }
    this.widgets = new ParameterWidgets(node, around.app, around.files, words, () => this.store())
    this.status = new StatusLine(node)
    strip(node)
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
      text.beforeQueued = () => around.queueing()
      const before = text.callback
      text.callback = (...args) => {
        before?.apply(text, args)
        if (!this.storing && !around.configuring()) this.reread()
      }
    }
    chain(node, 'onConfigure', () => this.restore())
    chain(node, 'onSerialize', (data) => this.serialise(data))
    chain(node, 'onConnectionsChange', () => queueMicrotask(() => this.tell()))
    chain(node, 'onExecuted', (output) => {
      const line = outcomeLine(output, around.t)
      // What it has made may be shown on it afterwards, which tells nothing of its jobs.
      if (line !== null) this.showOutcome(line)
    })
    this.offerChoices()
    this.restore()
    fitToContent(node)
  }

  get workflow(): string {
    const value = widgetNamed(this.node, 'workflow')?.value
    return typeof value === 'string' ? value : ''
  }

  /** The library changed, or became known. */
  refresh(): void {
    this.offerChoices()
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
    const inputs = shapeInputs(this.node, face, this.face ?? face, before)
    const outputs = shapeOutputs(this.node, face, this.face ?? face, before)
    this.parameters = { version: face.version, values: fittingValues(face, said), inputs, outputs }
    this.adopt(face, this.parameters)
    this.store()
    this.tell()
    fitToContent(this.node)
    this.around.changed()
  }

  /** Run another workflow, as if the user had chosen it. */
  switchTo(id: string): void {
    const chooser = widgetNamed(this.node, 'workflow')
    if (!chooser) return
    chooser.value = id
    this.choose()
  }

  /** Jobs of the node run: the host shows the server's line of progress, and what was before is over. */
  progressed(): void {
    this.badge = null
    this.tell()
  }

  private showOutcome(badge: StatusContent): void {
    this.badge = badge
    // The line of progress has nothing more to say.
    const progress = widgetNamed(this.node, PROGRESS_TEXT)
    if (progress) removeWidget(this.node, progress)
    this.tell()
  }

  // --- life

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
      else if (this.parameters !== null) trim(this.node, this.parameters)
      this.tell()
    })
  }

  /** Somebody else set the text: a prompt was loaded as a graph, or another extension did. */
  private reread(): void {
    this.restore()
    if (this.face !== null && this.node.graph) this.renew()
  }

  private choose(): void {
    const before = this.face
    const face = this.known()
    if (face === null) {
      this.tell()
      return
    }
    const { node } = this
    if (before?.id !== face.id) this.badge = null // it told of the other one's job
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
      if (slot.label === undefined) rename(slot, slotName, name)
      slot.shape = isStored(parameter.type) && !parameter.required ? HOLLOW_CIRCLE : undefined
      return [{ slot, name }]
    })
    this.widgets.tie(tied)
    const yielded = new Map(face.outputs.map((output) => [output.name, output]))
    labelOutputs(node, (parameters.outputs ?? []).map((name) => yielded.get(name) ?? { name, type: '*' }))
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

  private offerChoices(): void {
    const faces = this.around.library.faces()
    const chooser = widgetNamed(this.node, 'workflow')
    if (faces !== null && chooser) {
      const label = workflowLabels(faces.values())
      chooser.options.getOptionLabel = label
      chooser.options['optionLabel'] = label // what Nodes 2.0 of front end 1.32 goes by
      chooser.options.values = [...faces.keys()]
    }
    const backends = this.around.backends()
    const backend = widgetNamed(this.node, 'backend')
    if (backends !== null && backend) backend.options.values = backends
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
      foreign: around.foreign(workflow),
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
      case 'foreign': {
        const choice = (label: string, hint: string, resolution: Resolution) => ({
          label,
          hint,
          run: () => this.around.resolve(notice.id, resolution),
        })
        return {
          tone: 'warn',
          text: t('nodes.foreign'),
          actions: [
            choice(t('nodes.keepMine'), t('nodes.keepMineHint'), 'mine'),
            choice(t('nodes.takeTheirs'), t('nodes.takeTheirsHint'), 'theirs'),
            choice(t('nodes.importCopy'), t('nodes.importCopyHint'), 'copy'),
          ],
        }
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
