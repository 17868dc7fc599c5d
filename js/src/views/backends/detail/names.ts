/** What a backend has, as lists to search and to compare. Pure. */

export type ModelFolders = Readonly<Record<string, readonly string[]>>

export interface Inventory {
  readonly nodeClasses: readonly string[]
  readonly models: ModelFolders
}

/** One line of a list: `group` is the folder of a model, empty for a node class. */
export interface NameRow {
  readonly group: string
  readonly name: string
}

export function rowsOf({ nodeClasses, models }: Inventory, what: 'models' | 'nodeClasses'): NameRow[] {
  if (what === 'nodeClasses') return nodeClasses.map((name) => ({ group: '', name }))
  return Object.entries(models).flatMap(([group, files]) => files.map((name) => ({ group, name })))
}

/** The rows that hold each of the words that were searched for, in any order. */
export function searched(rows: readonly NameRow[], search: string): readonly NameRow[] {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return rows
  return rows.filter(({ group, name }) => {
    const text = `${group}/${name}`.toLocaleLowerCase()
    return words.every((word) => text.includes(word))
  })
}

/** Nodes of this pack: no backend ever runs them. */
const OURS = /^Orchestrator[A-Z]/

/**
 * What one has and the other lacks, apart from the nodes of this pack. Models are the same whatever slash a system writes
 * between folders.
 */
export function missing(wanted: Inventory, there: Inventory): Inventory {
  const classes = new Set(there.nodeClasses)
  const models = Object.entries(wanted.models).map(([folder, files]): [string, string[]] => {
    const known = new Set((there.models[folder] ?? []).map(spelled))
    return [folder, files.filter((file) => !known.has(spelled(file)))]
  })
  return {
    nodeClasses: wanted.nodeClasses.filter((name) => !classes.has(name) && !OURS.test(name)),
    models: Object.fromEntries(models.filter(([, files]) => files.length > 0)),
  }
}

function spelled(file: string): string {
  return file.replaceAll('\\', '/')
}
