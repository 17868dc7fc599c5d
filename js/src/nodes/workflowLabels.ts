import type { Face } from './face'

/**
 * Return how the list of workflows shows one: by its name, and where several have that name, or one looks like the id of
 * another, with the id. What a node holds, stores and sends is the id alone. One that the library lacks is shown as it is.
 */
export function workflowLabels(faces: Iterable<Pick<Face, 'id' | 'name'>>): (id: string | null) => string {
  const names = new Map<string, string>()
  const counts = new Map<string, number>()
  for (const { id, name } of faces) {
    names.set(id, name.trim())
    counts.set(name.trim(), (counts.get(name.trim()) ?? 0) + 1)
  }
  return (id) => {
    const name = names.get(id ?? '')
    if (id === null || name === undefined || name === '') return id ?? ''
    const ambiguous = (counts.get(name) ?? 0) > 1 || (names.has(name) && name !== id)
    return ambiguous ? `${name} (${id})` : name
  }
}
