import { inject, type InjectionKey, onScopeDispose, type Ref, ref, type ShallowRef, shallowRef, watch } from 'vue'

import type { State } from '@/state/state'
import type { Store } from '@/state/store'

/** The state as long as somebody looks. Behind a hidden view it stands still, so that nothing is computed for nobody. */
export interface Shown {
  readonly visible: Readonly<Ref<boolean>>
  readonly state: Readonly<ShallowRef<State>>
}

export const SHOWN: InjectionKey<Shown> = Symbol('shown')

export function createShown(store: Store, visible: Readonly<Ref<boolean>>): Shown {
  const state = shallowRef(store.state.value)
  watch(
    [store.state, visible],
    () => {
      if (visible.value) state.value = store.state.value
    },
    { flush: 'sync' },
  )
  return { visible, state }
}

function useShown(): Shown {
  const shown = inject(SHOWN)
  if (shown === undefined) throw new Error('This component is not inside of a view.')
  return shown
}

/** The orchestrator's state, inside of a view. */
export function useShownState(): Readonly<ShallowRef<State>> {
  return useShown().state
}

/** Whether the user can see the view that this is called in. */
export function useVisible(): Readonly<Ref<boolean>> {
  return useShown().visible
}

/** Seconds since the epoch, going on only while somebody looks. */
export function useNow(periodMs = 1_000): Readonly<Ref<number>> {
  const { visible } = useShown()
  const now = ref(Date.now() / 1000)
  let timer: ReturnType<typeof setInterval> | undefined
  const tick = () => {
    now.value = Date.now() / 1000
  }
  watch(
    visible,
    (looking) => {
      clearInterval(timer)
      if (!looking) return
      tick()
      timer = setInterval(tick, periodMs)
    },
    { immediate: true },
  )
  onScopeDispose(() => clearInterval(timer))
  return now
}
