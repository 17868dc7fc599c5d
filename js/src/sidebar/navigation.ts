import { ref, type Ref } from 'vue'

/** Which view is shown; commands, nodes and views lead the user from one to another with it. */
export interface Navigation {
  readonly view: Ref<string>
  /** What a view was asked to show when it was opened, such as the id of a job; the view takes and clears it. */
  readonly target: Ref<string | null>
  /** Whether the focus is to go into the view: a command opened it, and its user may have no mouse. */
  readonly entering: Ref<boolean>
}

export function createNavigation(first: string): Navigation {
  return { view: ref(first), target: ref(null), entering: ref(false) }
}

/** Show something in a view, such as a job by its id. */
export function openIn(navigation: Navigation, view: string, target: string): void {
  navigation.target.value = target
  navigation.view.value = view
}
