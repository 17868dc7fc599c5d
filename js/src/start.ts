import './ui/style.css'

import { createClient } from './api/client'
import type { Context } from './context'
import { compose } from './extension'
import { FEATURES } from './features'
import type { ComfyApi, ComfyApp } from './host/comfy'
import { createHost } from './host/host'
import { createTranslate } from './i18n/translate'
import { createNavigation } from './sidebar/navigation'
import { createNames } from './state/names'
import { createStore } from './state/store'
import { createSync } from './state/sync'
import { createUndo } from './ui/undo'

/** The composition root: builds everything once and registers the one extension. */
export function start(app: ComfyApp, api: ComfyApi): Context {
  const host = createHost(app, api)
  const client = createClient((route, init) => api.fetchApi(route, init))
  const store = createStore()
  const context: Context = {
    host,
    client,
    store,
    sync: createSync(host, client, store),
    names: createNames(host, client),
    t: createTranslate(() => host.locale()),
    undo: createUndo(),
    navigation: createNavigation('backends'),
  }
  addEventListener('pagehide', () => {
    context.undo.flush()
    context.sync.listening.end()
  })
  app.registerExtension(compose('comfyui-orchestrator', [
    { setup: () => context.sync.start() },
    ...FEATURES.map((feature) => feature(context)),
  ]))
  return context
}
