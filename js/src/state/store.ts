import { shallowRef, type ShallowRef } from 'vue'

import type { Message } from './messages'
import { reduce } from './reduce'
import { INITIAL, type State } from './state'

/** Calls back once, soon: before the next frame, or by the clock where no frames are drawn. */
export type Schedule = (flush: () => void) => void

/** The one place where the state changes. */
export interface Store {
  /** Replaced as a whole, at most once a frame. */
  readonly state: Readonly<ShallowRef<State>>
  /** Take a message; the state follows with the next frame, together with the others that came before it. */
  dispatch(message: Message): void
}

export function createStore(schedule: Schedule = nextFrame): Store {
  const state = shallowRef(INITIAL)
  let pending: Message[] = []

  function flush(): void {
    const messages = pending
    pending = []
    state.value = reduce(state.value, messages)
  }

  return {
    state,
    dispatch(message) {
      pending.push(message)
      if (pending.length === 1) schedule(flush)
    },
  }
}

const HIDDEN_FLUSH_MS = 500

/** Hidden pages get no frames, and what they show nobody sees: there the clock is enough. */
export function nextFrame(flush: () => void): void {
  if (!document.hidden) {
    // Whichever comes first: a page that is hidden in between would wait for its frame until it is shown again.
    let done = false
    const once = () => {
      if (done) return
      done = true
      flush()
    }
    requestAnimationFrame(once)
    setTimeout(once, HIDDEN_FLUSH_MS)
    return
  }
  setTimeout(flush, HIDDEN_FLUSH_MS)
}
