/** How long a colour is remembered. Asking for it makes the browser bring all styles up to date, each time. */
const REMEMBERED_MS = 2_000

let colour = ''
let until = 0

/** The accent colour, which is the same everywhere in the orchestrator's views; a change of theme shows soon. */
export function accentOf(element: Element): string {
  const now = performance.now()
  if (now > until) {
    colour = getComputedStyle(element).getPropertyValue('--orc-accent') || '#3b82f6'
    until = now + REMEMBERED_MS
  }
  return colour
}
