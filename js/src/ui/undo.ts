import { shallowRef, type ShallowRef } from 'vue'

/** Something the user did that is carried out a little later, so that it can be taken back. */
export interface PendingAction {
  readonly id: number
  readonly text: string
}

export const UNDO_MS = 8_000

/**
 * Actions that are announced at once and carried out when the time to take them back has passed, or when the page is
 * closed. What an action concerns is hidden meanwhile by whoever announced it.
 */
export interface Undo {
  readonly pending: Readonly<ShallowRef<readonly PendingAction[]>>
  announce(action: { text: string; carryOut: () => void; takeBack: () => void }): void
  takeBack(id: number): void
  /** Carry out now what still waits. */
  flush(): void
}

export function createUndo(delayMs = UNDO_MS): Undo {
  const pending = shallowRef<readonly PendingAction[]>([])
  const waiting = new Map<number, { timer: ReturnType<typeof setTimeout>; carryOut: () => void; takeBack: () => void }>()
  let nextId = 1

  function settle(id: number, how: 'carryOut' | 'takeBack'): void {
    const action = waiting.get(id)
    if (action === undefined) return
    clearTimeout(action.timer)
    waiting.delete(id)
    pending.value = pending.value.filter((one) => one.id !== id)
    action[how]()
  }

  return {
    pending,
    announce({ text, carryOut, takeBack }) {
      const id = nextId++
      const timer = setTimeout(() => settle(id, 'carryOut'), delayMs)
      waiting.set(id, { timer, carryOut, takeBack })
      pending.value = [...pending.value, { id, text }]
    },
    takeBack: (id) => settle(id, 'takeBack'),
    flush() {
      for (const id of [...waiting.keys()]) settle(id, 'carryOut')
    },
  }
}
