import type { Face, FaceParameter } from './face'
import { addAudioPlayer } from './audioPlayer'
import { picksFile, type InputFiles } from './files'
import { forget, removeWidget, type CanvasNode, type Slot, type Widget, type WidgetConstructor } from './litegraph'
import { equalJson, type Json } from './parameters'
import { choices, PREFIX, widgetSpec, type WidgetSpec } from './widgetSpec'

/** What the host is asked for. */
export interface WidgetMaker {
  readonly widgets?: Readonly<Record<string, WidgetConstructor>>
}

export type Values = Readonly<Record<string, Json>>
/** By parameter: what becomes of its value after each run, in ComfyUI's words (`fixed`, `increment`, `randomize`, …). */
export type Controls = Readonly<Record<string, string>>

/** What it says in the user's language. */
export interface Words {
  upload(): string
  /** That a widget shows a number rounded. */
  exactly(value: bigint): string
  failed(error: unknown): void
}

interface Made {
  readonly widget: Widget
  readonly spec: WidgetSpec
  /** What it showed when it was made: until it shows something else, nothing was said with it. */
  readonly initial: unknown
  /** Whether it names a file, or none. */
  readonly file: boolean
}

/**
 * The widgets of a workflow's parameters on one node: the host's own, made as for inputs that a node class declares. They
 * are neither stored nor sent; what they say goes into the node's `parameters`.
 */
export class ParameterWidgets {
  private made = new Map<string, Made>()
  /** Buttons and players that belong to some of them. */
  private extras: Widget[] = []

  constructor(
    private readonly node: CanvasNode,
    private readonly app: WidgetMaker,
    private readonly files: Omit<InputFiles, 'reload'>,
    private readonly words: Words,
    private readonly changed: () => void,
  ) {}

  /** Replace all widgets by those of a face. */
  build(face: Face, values: Values, controls: Controls, offered: Readonly<Record<string, readonly Json[]>>): void {
    this.clear()
    for (const parameter of face.parameters) {
      const file = picksFile(parameter.type)
      const spec = widgetSpec(parameter, values[parameter.name], file ? this.files.list(parameter.type) : offered[parameter.name])
      const widget = spec === null ? undefined : this.make(parameter.name, spec)
      if (spec === null || widget === undefined) continue
      widget.label = parameter.name
      const said = values[parameter.name]
      const hints = [parameter.tooltip, typeof said === 'bigint' ? this.words.exactly(said) : ''].filter((hint) => hint !== '')
      if (hints.length > 0) widget.tooltip = hints.join('\n')
      if (!sameValue(widget.value, spec.value)) widget.value = spec.value
      const control = widget.linkedWidgets?.[0]
      if (control) control.value = controls[parameter.name] ?? 'randomize'
      this.watch(widget)
      if (control) this.watch(control)
      this.made.set(parameter.name, { widget, spec, initial: widget.value, file })
      if (file) this.addUpload(parameter, widget)
      if (parameter.type === 'AUDIO') this.addPlayer(parameter.name, widget)
    }
  }

  /** Renew the lists of those that are chosen from one. */
  offer(face: Face, offered: Readonly<Record<string, readonly Json[]>>): void {
    for (const parameter of face.parameters) {
      const made = this.made.get(parameter.name)
      if (made?.spec.kind !== 'COMBO' || picksFile(parameter.type)) continue
      made.widget.options.values = choices(parameter, made.widget.value as Json, offered[parameter.name] ?? [])
    }
  }

  /** Tie the inputs of these parameters to their widgets, so that they share a row. */
  tie(inputs: readonly { readonly slot: Slot; readonly name: string }[]): void {
    const key = this.configKey()
    for (const { slot, name } of inputs) {
      const made = this.made.get(name)
      if (made === undefined) {
        delete slot.widget
        continue
      }
      slot.widget = { name: made.widget.name, ...(key === undefined ? {} : { [key]: () => made.spec.spec }) }
    }
  }

  /**
   * Return what the widgets say beyond what was said before. A number that this language cannot hold exactly, such as a
   * very large seed, is not said as long as nobody changes it.
   */
  values(before: Values): Values {
    const said: Record<string, Json> = { ...before }
    for (const [name, { widget, initial }] of this.made) {
      const value = widget.value as Json
      const untouched = sameValue(value, initial)
      if (untouched && (name in before || (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER))) continue
      said[name] = value
    }
    return Object.fromEntries(Object.entries(said).filter(([name, value]) => !this.made.get(name)?.file || value !== ''))
  }

  controls(): Controls {
    const found: Record<string, string> = {}
    for (const [name, { widget }] of this.made) {
      const control = widget.linkedWidgets?.[0]
      if (control && typeof control.value === 'string') found[name] = control.value
    }
    return found
  }

  clear(): void {
    for (const { widget } of this.made.values()) removeWidget(this.node, widget)
    for (const extra of this.extras.splice(0)) removeWidget(this.node, extra)
    this.made.clear()
  }

  private addUpload({ name, type }: FaceParameter, widget: Widget): void {
    const upload = () =>
      this.files.choose(type, (file) => {
        widget.options.values = ['', ...this.files.list(type)]
        widget.value = file
        widget.callback?.(file)
        this.node.setDirtyCanvas(true, false)
      }, this.words.failed)
    // Nodes 2.0 of front end 1.32 shows a button's name, not its label.
    const label = `${this.words.upload()} (${name})`
    const button = this.node.addWidget('button', label, null, upload, { serialize: false })
    forget(button)
    this.extras.push(button)
  }

  /** A player of what the widget names, which follows it. */
  private addPlayer(name: string, widget: Widget): void {
    const player = addAudioPlayer(this.node, `player.${name}`, name)
    const show = (value: unknown) => player.show(typeof value === 'string' && value !== '' ? this.files.url(value) : '')
    show(widget.value)
    const before = widget.callback
    widget.callback = (value, ...rest) => {
      before?.call(widget, value, ...rest)
      show(value)
    }
    this.extras.push(player.widget)
  }

  private make(name: string, spec: WidgetSpec): Widget | undefined {
    const made = this.app.widgets?.[spec.kind]?.(this.node, PREFIX + name, spec.spec, this.app)
    const widget = made !== undefined && 'widget' in made ? made.widget : made
    if (widget) forget(widget)
    return widget
  }

  /** Hear of changes. Nodes 2.0 of front end 1.32 calls back with a copy of the widget, and leaves the widget alone. */
  private watch(widget: Widget): void {
    const before = widget.callback
    let telling = false
    widget.callback = (value, ...rest) => {
      if (telling) return
      telling = true
      try {
        if (!sameValue(widget.value, value)) widget.value = value
        before?.call(widget, value, ...rest)
      } finally {
        telling = false
      }
      this.changed()
    }
  }

  /**
   * The key under which the host finds the specification of a widget's input, which primitive nodes ask for. It is a
   * symbol that the host does not export; the inputs that it made itself show it.
   */
  private configKey(): symbol | undefined {
    for (const { widget } of this.node.inputs) {
      if (widget === undefined || widget.name.startsWith(PREFIX)) continue
      const key = Object.getOwnPropertySymbols(widget).find((symbol) => typeof widget[symbol] === 'function')
      if (key !== undefined) return key
    }
    return undefined
  }
}

function sameValue(one: unknown, other: unknown): boolean {
  return Object.is(one, other) || (typeof one === 'object' && equalJson(one, other))
}
