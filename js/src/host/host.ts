import type { ComfyApi, ComfyApp, Graph, SidebarTab, ToastMessage } from './comfy'

/** ComfyUI's front end as the rest of this extension sees it, whatever its version. */
export interface Host {
  readonly app: ComfyApp
  readonly api: ComfyApi
  /** The graph that everything else is in; null before the canvas exists. */
  rootGraph(): Graph | null
  /** The graph that the canvas shows now: the root, or a subgraph the user has entered. */
  shownGraph(): Graph | null
  /** The id of this tab's socket, or null as long as the server has not greeted it. */
  clientId(): string | null
  /** The language the user has chosen, such as `en` or `zh`. */
  locale(): string
  setting(id: string): unknown
  setSetting(id: string, value: unknown): void
  toast(message: ToastMessage): void
  /** Ask whether something is to be done, in the host's own dialog. */
  confirm(title: string, message: string): Promise<boolean>
  addSidebarTab(tab: SidebarTab): void
  /** Show a sidebar tab; does nothing when it is shown. */
  openSidebarTab(id: string): void
  runCommand(id: string): void
  /** Call back for each message of this type; returns how to stop. The detail is foreign: check it. */
  on(type: string, listener: (detail: unknown) => void): () => void
}

/** How long the language is remembered. */
const REMEMBERED_MS = 1_000

export function createHost(app: ComfyApp, api: ComfyApi): Host {
  const manager = () => app.extensionManager
  let locale = ''
  let localeUntil = -Infinity
  const setting = (id: string): unknown => manager()?.setting?.get(id)
  return {
    app,
    api,
    rootGraph: () => app.rootGraph ?? app.graph ?? null,
    shownGraph: () => app.canvas?.graph ?? app.rootGraph ?? app.graph ?? null,
    clientId: () => api.clientId ?? api.initialClientId ?? null,
    locale() {
      // Asked for with every text, and the host copies a setting each time it gives it.
      if (performance.now() > localeUntil) {
        const chosen = setting('Comfy.Locale')
        locale = typeof chosen === 'string' && chosen !== '' ? chosen : navigator.language
        localeUntil = performance.now() + REMEMBERED_MS
      }
      return locale
    },
    setting,
    setSetting(id, value) {
      manager()?.setting?.set(id, value)
    },
    toast(message) {
      const shown = manager()?.toast
      if (shown) shown.add(message)
      else console.info(`[Orchestrator] ${message.summary}`, message.detail ?? '')
    },
    async confirm(title, message) {
      const dialog = manager()?.dialog
      return dialog?.confirm ? (await dialog.confirm({ title, message })) === true : window.confirm(message)
    },
    addSidebarTab(tab) {
      manager()?.registerSidebarTab(tab)
    },
    openSidebarTab(id) {
      const tabs = manager()?.sidebarTab
      if (tabs?.activeSidebarTabId === id) return
      tabs?.toggleSidebarTab?.(id)
    },
    runCommand(id) {
      manager()?.command?.execute(id)
    },
    on(type, listener) {
      const handler = (event: Event) => listener(event instanceof CustomEvent ? event.detail : undefined)
      api.addEventListener(type, handler)
      return () => api.removeEventListener(type, handler)
    },
  }
}
