/** How many of a row of declared slots are shown: as many as are used, and a free one to go on with. Pure. */

export interface Row {
  /** How many the server declares. */
  readonly declared: number
  /** How many are shown however few are used. */
  readonly least: number
}

/**
 * Return how many slots of a row to show.
 *
 * @param used positions (from 0) of the slots that are in use: connected, or named by the node's widgets.
 */
export function shownCount({ declared, least }: Row, used: Iterable<number>): number {
  let last = -1
  for (const position of used) last = Math.max(last, position)
  return Math.min(declared, Math.max(least, last + 2))
}

/** The names of a grid's dimensions, as its text gives them: lines of `name: a, b`, or a JSON object of arrays. */
export function gridNames(text: string): readonly string[] {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) {
    try {
      return Object.keys(JSON.parse(trimmed) as object)
    } catch {
      return []
    }
  }
  return trimmed
    .split('\n')
    .map((line) => (line.includes(':') ? line.slice(0, line.indexOf(':')).trim() : ''))
    .filter((name) => name !== '')
}

/** The names that a Condition's expression may use for a, b, c, …: those of `names`, else the letters. */
export function inputNames(names: string, letters: readonly string[]): readonly string[] {
  const given = names.split(',').map((name) => name.trim())
  return letters.map((letter, position) => given[position] || letter)
}
