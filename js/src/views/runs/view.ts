import type { View } from '../registry'
import RunsView from './RunsView.vue'

export const runsView: View = { id: 'runs', title: 'runs.title', icon: 'pi-play', component: RunsView }
