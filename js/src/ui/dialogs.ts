import { type Component, createApp, h } from 'vue'

import { CONTEXT, type Context } from '@/context'

/**
 * Show a dialog that belongs to no view, so that commands and nodes can ask something too.
 *
 * @param component a dialog that emits `close`, with its result or with nothing when the user gave up.
 * @returns what the user decided, or null.
 */
export function showDialog<R>(context: Context, component: Component, props: Record<string, unknown>): Promise<R | null> {
  return new Promise((resolve) => {
    const element = document.createElement('div')
    const onClose = (result?: R) => {
      app.unmount()
      element.remove()
      resolve(result ?? null)
    }
    const app = createApp({ render: () => h(component, { ...props, onClose }) })
    app.provide(CONTEXT, context)
    document.body.append(element)
    app.mount(element)
  })
}
