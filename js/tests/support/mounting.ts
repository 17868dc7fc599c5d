import { mount } from '@vue/test-utils'
import { type Component, ref } from 'vue'

import { createClient } from '@/api/client'
import { CONTEXT, type Context } from '@/context'
import { createTranslate } from '@/i18n/translate'
import { createNavigation } from '@/sidebar/navigation'
import { createShown, SHOWN } from '@/sidebar/shown'
import { createNames } from '@/state/names'
import { createStore } from '@/state/store'
import { createSync } from '@/state/sync'
import { createUndo } from '@/ui/undo'

import type { FakeHost } from './fakeHost'

/** The context of a page with a fake host, whose state changes at once. */
export function contextOf({ host, api }: FakeHost): Context {
  const client = createClient((route, init) => api.fetchApi(route, init))
  const store = createStore((flush) => flush())
  return {
    host,
    client,
    store,
    sync: createSync(host, client, store),
    names: createNames(host, client),
    t: createTranslate(() => host.locale()),
    undo: createUndo(),
    navigation: createNavigation('backends'),
  }
}

/** Mount a component as if it were inside of a view that somebody looks at. */
export function mountInView(component: Component, context: Context, props: Record<string, unknown> = {}) {
  const provide = { [CONTEXT as symbol]: context, [SHOWN as symbol]: createShown(context.store, ref(true)) }
  return mount(component, { props, global: { provide, stubs: { teleport: true } }, attachTo: document.body })
}
