/**
 * Return things by id, each as the object it was before if nothing about it changed: lists are told as a whole, and what
 * is drawn from an unchanged object need not be drawn again.
 */
export function sharing<T extends { readonly id: string }>(before: ReadonlyMap<string, T>, now: readonly T[]): Map<string, T> {
  return new Map(
    now.map((thing) => {
      const old = before.get(thing.id)
      return [thing.id, old !== undefined && equal(old, thing) ? old : thing]
    }),
  )
}

/** Whether two JSON values are the same. */
function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  return keys.every((key) => equal((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
}
