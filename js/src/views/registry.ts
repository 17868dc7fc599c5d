import type { Component } from 'vue'

import type { TextKey } from '@/i18n/translate'

import { backendsView } from './backends/view'
import { jobsView } from './jobs/view'
import { libraryView } from './library/view'
import { runsView } from './runs/view'

/** One view of the sidebar. Its component lives on while another view is shown; see sidebar/shown.ts. */
export interface View {
  readonly id: string
  readonly title: TextKey
  readonly icon: string
  readonly component: Component
}

/** In the order of their tabs. */
export const VIEWS: readonly View[] = [backendsView, jobsView, runsView, libraryView]
