import { type Ref, watch } from 'vue'

import type { Context } from '@/context'
import { SIDEBAR_TAB_ID } from '@/sidebar/tab'
import { counts } from '@/state/selectors'

interface LegacyMenu {
  readonly settingsGroup?: { readonly element?: HTMLElement }
}

export const TOP_BAR_SETTING = 'Orchestrator.TopBar'

/**
 * Show how the farm is in the top bar, where other packs put their buttons: the host's own lists of badges and buttons
 * hold what never changes.
 */
export function showInTopBar({ host, navigation, store, t }: Context, wanted: Readonly<Ref<boolean>>): void {
  const place = (host.app as { menu?: LegacyMenu }).menu?.settingsGroup?.element
  if (place === undefined) return
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'orc-top-bar'
  button.addEventListener('click', () => {
    navigation.view.value = counts(store.state.value).waiting > 0 ? 'jobs' : 'backends'
    navigation.entering.value = true
    host.openSidebarTab(SIDEBAR_TAB_ID)
  })
  const dot = document.createElement('span')
  dot.className = 'orc-top-bar-dot'
  const text = document.createElement('span')
  button.append(dot, text)
  place.before(button)

  // The state changes many times a second, and what is shown here seldom: the page is touched only then.
  watch(
    () => {
      const { kind } = store.state.value.connection
      const { backends, online, running, queued, waiting } = counts(store.state.value)
      return [wanted.value, kind, backends, online, running, queued, waiting].join(' ')
    },
    () => {
      const { kind } = store.state.value.connection
      const { backends, online, running, queued, waiting } = counts(store.state.value)
      const lost = kind === 'lost' || kind === 'refused'
      button.hidden = !wanted.value || kind === 'starting' || backends < 2
      button.dataset['tone'] = lost || online === 0 ? 'bad' : waiting > 0 || online < backends ? 'warn' : 'good'
      text.textContent = lost ? t('commands.lost') : t('commands.status', { online, running })
      button.title = t('commands.statusTitle', { online, backends, running, queued, waiting })
    },
    { immediate: true },
  )
}
