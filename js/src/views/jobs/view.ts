import type { View } from '../registry'
import JobsView from './JobsView.vue'

export const jobsView: View = { id: 'jobs', title: 'jobs.title', icon: 'pi-list', component: JobsView }
