import type { Component } from 'vue'

import type { TextKey } from '@/i18n/translate'

import { backendsView } from './backends/view'
import { libraryView } from './library/view'

/** One view of the sidebar. Its component lives on while another view is shown; see sidebar/shown.ts. */
export interface View {
  readonly id: string
  readonly title: TextKey
  readonly icon: string
  readonly component: Component
}

/** In the order of their tabs. */
export const VIEWS: readonly View[] = [backendsView, libraryView]
