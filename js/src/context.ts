import { inject, type InjectionKey } from 'vue'

import type { Client } from '@/api/client'
import type { Host } from '@/host/host'
import type { Translate } from '@/i18n/translate'
import type { Navigation } from '@/sidebar/navigation'
import type { Names } from '@/state/names'
import type { Store } from '@/state/store'
import type { Sync } from '@/state/sync'
import type { Undo } from '@/ui/undo'

/** What every feature is built from; made once in main.ts and passed in. */
export interface Context {
  readonly host: Host
  readonly client: Client
  readonly store: Store
  readonly sync: Sync
  readonly names: Names
  readonly t: Translate
  readonly undo: Undo
  readonly navigation: Navigation
}

export const CONTEXT: InjectionKey<Context> = Symbol('orchestrator')

/** The context inside of a component. */
export function useContext(): Context {
  const context = inject(CONTEXT)
  if (context === undefined) throw new Error('This component is not inside of the orchestrator’s application.')
  return context
}
