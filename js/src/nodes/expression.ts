import * as v from 'valibot'

import type { Context } from '@/context'

import { LETTERS } from './growing'
import { chain, growToContent, widgetNamed, type CanvasNode } from './litegraph'
import { excerpt, mended } from './mistake'
import { StatusLine, type StatusContent } from './statusLine'

const CHECK_DELAY_MS = 250

const Checked = v.object({
  ok: v.boolean(),
  problem: v.nullable(
    v.object({
      widget: v.picklist(['expression', 'names']),
      position: v.number(),
      length: v.number(),
      message: v.string(),
      suggestion: v.nullable(v.string()),
    }),
  ),
})

type Checked = v.InferOutput<typeof Checked>

/** Has the server's own parser look at a Condition's expression while it is typed, and shows where it stumbles. */
export class ExpressionCheck {
  private readonly status: StatusLine
  private timer: ReturnType<typeof setTimeout> | undefined
  private asked = 0

  constructor(
    private readonly node: CanvasNode,
    private readonly context: Pick<Context, 'client' | 't'>,
  ) {
    this.status = new StatusLine(node)
    for (const name of ['expression', 'names']) {
      const widget = widgetNamed(node, name)
      if (!widget) continue
      const before = widget.callback
      widget.callback = (...args) => {
        before?.apply(widget, args)
        this.checkSoon()
      }
    }
    chain(node, 'onConfigure', () => this.checkSoon())
    chain(node, 'onConnectionsChange', () => this.checkSoon())
    chain(node, 'onRemoved', () => clearTimeout(this.timer))
  }

  private checkSoon(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.check(), CHECK_DELAY_MS)
  }

  private async check(): Promise<void> {
    const { node } = this
    const number = ++this.asked
    const connected = node.inputs.flatMap(({ name }, index) => (node.isInputConnected(index) ? [name] : []))
    // What comes by a link is known when it runs, and is checked then.
    if (!node.graph || connected.includes('expression') || connected.includes('names')) {
      this.show(null)
      return
    }
    const [expression, names] = [this.text('expression'), this.text('names')]
    const usable = connected.filter((name) => name.startsWith('value_') || (LETTERS as readonly string[]).includes(name))
    try {
      // As long as nothing is connected, every name may still be.
      const body = { expression, names, connected: usable.length > 0 ? usable : null }
      const checked = await this.context.client.http.send(Checked, 'POST', '/conditions/check', body)
      if (number === this.asked) this.show(this.content(checked))
    } catch (error) {
      console.info('[Orchestrator] an expression could not be checked', error)
    }
  }

  private content({ problem }: Checked): StatusContent | null {
    if (problem === null) return null
    const { suggestion, widget } = problem
    const text = this.text(widget)
    return {
      tone: 'error',
      text: problem.message,
      excerpt: excerpt(text, problem),
      actions:
        suggestion === null
          ? []
          : [{ label: this.context.t('nodes.use', { text: suggestion }), run: () => this.write(widget, mended(text, problem)) }],
    }
  }

  private write(name: string, text: string): void {
    const widget = widgetNamed(this.node, name)
    if (!widget) return
    widget.value = text
    widget.callback?.(text)
    this.node.setDirtyCanvas(true, false)
  }

  private show(content: StatusContent | null): void {
    if (this.status.show(content)) growToContent(this.node)
  }

  private text(name: string): string {
    const value = widgetNamed(this.node, name)?.value
    return typeof value === 'string' ? value : ''
  }
}
