import type { View } from '../registry'
import BackendsView from './BackendsView.vue'

export const backendsView: View = { id: 'backends', title: 'backends.title', icon: 'pi-server', component: BackendsView }
