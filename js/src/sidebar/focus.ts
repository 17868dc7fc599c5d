import { nextTick, type Ref, watch } from 'vue'

import type { Navigation } from '@/sidebar/navigation'
import type { Undo } from '@/ui/undo'

/**
 * Keep the focus in the sidebar when what had it goes away, so that whoever works by keyboard does not begin at the top of
 * the page again: it goes to what takes the last action back, or else to the tab of the view that is shown.
 */
export function keepFocus(root: Readonly<Ref<HTMLElement | null>>, navigation: Navigation, undo: Undo): void {
  // Called before the page changes, while it can still be seen who has the focus.
  watch([navigation.view, undo.pending], async () => {
    const held = document.activeElement
    if (held === null || !root.value?.contains(held)) return
    await nextTick()
    const now = document.activeElement
    if (isShown(held) || (now !== held && now !== document.body)) return
    const undoing = [...root.value.querySelectorAll<HTMLElement>('.orc-undo button')].pop()
    ;(undoing ?? selectedTab(root.value))?.focus()
  })
}

/** Take the focus into the view that a command opened, as soon as the host shows it. */
export function takeFocus(root: Readonly<Ref<HTMLElement | null>>, visible: Readonly<Ref<boolean>>, navigation: Navigation): void {
  watch(
    [visible, navigation.entering],
    () => {
      if (!visible.value || !navigation.entering.value || root.value === null) return
      navigation.entering.value = false
      // A dialog that the command opened has taken it, and will give it back to where it was.
      if (document.querySelector('dialog.orc-dialog[open]') === null) selectedTab(root.value)?.focus()
    },
    { immediate: true, flush: 'post' },
  )
}

function selectedTab(root: HTMLElement): HTMLElement | null {
  return root.querySelector('[role="tab"][aria-selected="true"]')
}

function isShown(element: Element): boolean {
  return element.isConnected && element.checkVisibility()
}
