import type { View } from '../registry'
import LibraryView from './LibraryView.vue'

export const libraryView: View = { id: 'library', title: 'library.title', icon: 'pi-book', component: LibraryView }
