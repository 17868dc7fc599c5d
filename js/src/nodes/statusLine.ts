import { forget, removeWidget, type CanvasNode, type Widget } from './litegraph'

export interface StatusAction {
  readonly label: string
  /** What it does, in full. */
  readonly hint?: string
  run(): void
}

export interface StatusContent {
  readonly tone: 'calm' | 'warn' | 'error'
  readonly text: string
  /** A piece of the user's own text, of which one part is wrong; shown above. */
  readonly excerpt?: { readonly before: string; readonly wrong: string; readonly after: string }
  readonly actions?: readonly StatusAction[]
}

const NAME = 'orchestrator.status'
const ROW_PX = 24
const EXCERPT_PX = 18

/**
 * A line at a node's foot that tells something and may offer buttons. It is a DOM widget, because that is the one thing
 * that both renderers show alike; where there is nothing to tell there is no widget. All text is text, never HTML.
 */
export class StatusLine {
  private readonly element = document.createElement('div')
  private widget: Widget | null = null
  private shown = ''
  private height = ROW_PX

  constructor(private readonly node: CanvasNode) {
    this.element.className = 'orc-node-status'
    this.element.setAttribute('role', 'status')
  }

  /** Show this and nothing else; null: nothing. Returns whether the node needs another size now. */
  show(content: StatusContent | null): boolean {
    const described = JSON.stringify(content, (_, value: unknown) => (typeof value === 'function' ? undefined : value))
    if (described === this.shown) return false
    this.shown = described
    if (content === null) {
      this.element.replaceChildren()
      return this.remove()
    }
    this.element.dataset['tone'] = content.tone
    const text = document.createElement('span')
    text.textContent = content.text
    text.title = content.text
    const buttons = (content.actions ?? []).map(({ label, hint, run }) => {
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = label
      if (hint !== undefined) button.title = hint
      button.addEventListener('click', run)
      return button
    })
    this.element.replaceChildren(...excerptOf(content), text, ...buttons)
    const height = content.excerpt === undefined ? ROW_PX : ROW_PX + EXCERPT_PX
    const resized = height !== this.height
    this.height = height
    return this.add() || resized
  }

  /** Stand below all widgets again, after others were added. */
  sink(): void {
    if (this.remove()) this.add()
  }

  private add(): boolean {
    if (this.widget !== null) return false
    this.widget = this.node.addDOMWidget(NAME, 'orchestrator-status', this.element, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => this.height,
      getMaxHeight: () => this.height,
      margin: 4,
      // The host draws a widget's name where it has one to show.
      getValue: () => '',
      setValue: () => undefined,
    })
    forget(this.widget)
    return true
  }

  private remove(): boolean {
    if (this.widget === null) return false
    removeWidget(this.node, this.widget)
    this.widget = null
    return true
  }
}

function excerptOf({ excerpt }: StatusContent): HTMLElement[] {
  if (excerpt === undefined) return []
  const line = document.createElement('code')
  const wrong = document.createElement('mark')
  wrong.textContent = excerpt.wrong === '' ? '\u2038' : excerpt.wrong // a caret where something is missing
  line.append(excerpt.before, wrong, excerpt.after)
  return [line]
}
