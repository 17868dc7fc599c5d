import { computed, createApp, ref } from 'vue'

import { CONTEXT, type Context } from '@/context'
import type { Contribution } from '@/extension'
import type { SidebarTab } from '@/host/comfy'

import { createShown, SHOWN } from './shown'
import SidebarApp from './SidebarApp.vue'

export const SIDEBAR_TAB_ID = 'orchestrator'

/** Adds the sidebar tab. */
export function sidebar(context: Context): Contribution {
  return {
    setup() {
      context.host.addSidebarTab(createTab(context))
    },
  }
}

export function createTab(context: Context): SidebarTab {
  const rendered = ref(false)
  const pageHidden = ref(document.hidden)
  const visible = computed(() => rendered.value && !pageHidden.value)
  document.addEventListener('visibilitychange', () => {
    pageHidden.value = document.hidden
  })
  // The application is made when it is first looked at, lives in an element of its own, and moves with that element
  // into whatever the host gives: the host renders a tab anew each time it is opened, and calls `render` again without
  // `destroy` whenever something around it changes.
  let root: HTMLElement | undefined

  function make(): HTMLElement {
    const element = document.createElement('div')
    element.style.height = '100%'
    const app = createApp(SidebarApp)
    app.provide(CONTEXT, context)
    app.provide(SHOWN, createShown(context.store, visible))
    app.mount(element)
    return element
  }

  return {
    id: SIDEBAR_TAB_ID,
    type: 'custom',
    title: context.t('sidebar.title'),
    tooltip: context.t('sidebar.tooltip'),
    label: context.t('sidebar.label'),
    icon: 'pi pi-sitemap',
    render(container) {
      root ??= make()
      if (root.parentElement !== container) {
        container.style.height = '100%'
        container.replaceChildren(root)
      }
      rendered.value = true
    },
    destroy() {
      rendered.value = false
      root?.remove()
    },
  }
}
