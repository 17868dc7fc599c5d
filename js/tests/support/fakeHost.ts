import type { ComfyApi, ComfyApp, ComfyExtension, SidebarTab, ToastMessage } from '@/host/comfy'
import { createHost, type Host } from '@/host/host'

type Handler = (init: RequestInit) => unknown

/** A host without a browser's front end around it: routes are answered by the test, messages sent by it. */
export interface FakeHost {
  readonly host: Host
  readonly app: ComfyApp
  readonly api: ComfyApi
  readonly extensions: ComfyExtension[]
  readonly tabs: SidebarTab[]
  readonly toasts: ToastMessage[]
  /** Requests so far, such as `GET /backends`. */
  readonly requests: string[]
  /** Answer a route, given as `METHOD /path` without the prefix and the query. */
  answer(route: string, handler: Handler): void
  /** Have the server send a message over the socket. */
  message(type: string, detail?: unknown): void
}

export function fakeHost(settings: Record<string, unknown> = { 'Comfy.Locale': 'en' }): FakeHost {
  const handlers = new Map<string, Handler>()
  const extensions: ComfyExtension[] = []
  const tabs: SidebarTab[] = []
  const toasts: ToastMessage[] = []
  const requests: string[] = []
  const api: ComfyApi = Object.assign(new EventTarget(), {
    clientId: 'tab-1',
    apiURL: (route: string) => `/api${route}`,
    fileURL: (route: string) => route,
    async fetchApi(route: string, init: RequestInit = {}) {
      const path = route.replace(/^\/orchestrator/, '').replace(/\?.*$/, '')
      const name = `${init.method ?? 'GET'} ${path}`
      requests.push(name)
      const handler = handlers.get(name)
      if (handler === undefined) return Response.json({ error: { code: 'not_found', message: name } }, { status: 404 })
      const answered = await handler(init)
      return answered instanceof Response ? answered : Response.json(answered)
    },
  })
  const app: ComfyApp = {
    registerExtension: (extension) => void extensions.push(extension),
    extensionManager: {
      registerSidebarTab: (tab) => void tabs.push(tab),
      toast: { add: (message) => void toasts.push(message) },
      setting: {
        get: (id) => settings[id],
        set(id, value) {
          settings[id] = value
        },
      },
    },
  }
  return {
    host: createHost(app, api),
    app,
    api,
    extensions,
    tabs,
    toasts,
    requests,
    answer: (route, handler) => void handlers.set(route, handler),
    message: (type, detail) => void api.dispatchEvent(new CustomEvent(type, { detail })),
  }
}
