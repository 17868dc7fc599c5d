/** How a row of slots becomes another one, such that the links that still fit stay where they are. Pure. */

export interface Meaning {
  readonly name: string
  readonly type: string
}

/** A slot that is there: what it meant until now, as far as that is known. */
export interface Present extends Partial<Meaning> {
  readonly linked: boolean
}

export interface SlotPlan {
  /** The slots afterwards, in order: which of the present ones each was (null: a new one), and what it means. */
  readonly slots: readonly { readonly from: number | null; readonly meaning: number }[]
  /** Present slots that go, in descending order. */
  readonly removed: readonly number[]
  /** Present slots that stay, but whose link no longer fits. */
  readonly unlinked: readonly number[]
}

/**
 * Plan the change.
 *
 * A linked slot keeps its link if something of the same name takes it, else if the first free meaning of the same type
 * does. Slots are never moved past each other, because links know them by their position: what is not linked fills the
 * gaps in the workflow's order. Without links that is simply the workflow's order.
 *
 * @param fits whether the link of a present slot could be at a meaning.
 */
export function planSlots(
  present: readonly Present[],
  meanings: readonly Meaning[],
  fits: (present: number, meaning: number) => boolean,
): SlotPlan {
  const chosen = new Map<number, number>()
  const taken = new Set<number>()
  const choose = (slot: number, meaning: number) => {
    chosen.set(slot, meaning)
    taken.add(meaning)
  }
  const linked = present.flatMap((slot, index) => (slot.linked ? [index] : []))
  for (const slot of linked) {
    const meaning = meanings.findIndex(({ name }) => name === present[slot]?.name)
    if (meaning >= 0 && !taken.has(meaning) && fits(slot, meaning)) choose(slot, meaning)
  }
  for (const slot of linked) {
    if (chosen.has(slot)) continue
    const meaning = meanings.findIndex(
      ({ type }, index) => !taken.has(index) && type === present[slot]?.type && fits(slot, index),
    )
    if (meaning >= 0) choose(slot, meaning)
  }
  const free = present.flatMap((_, index) => (chosen.has(index) ? [] : [index]))
  const reused = new Set(free.slice(0, meanings.length - chosen.size))
  const rest = meanings.flatMap((_, index) => (taken.has(index) ? [] : [index]))
  const slots: { from: number | null; meaning: number }[] = []
  present.forEach((_, slot) => {
    const meaning = chosen.get(slot) ?? (reused.has(slot) ? rest.shift() : undefined)
    if (meaning !== undefined) slots.push({ from: slot, meaning })
  })
  for (const meaning of rest) slots.push({ from: null, meaning })
  return {
    slots,
    removed: free.filter((slot) => !reused.has(slot)).reverse(),
    unlinked: [...reused].filter((slot) => present[slot]?.linked === true),
  }
}

/** Whether a link of one type may be at a slot of another, by ComfyUI's rules: `*` fits all, `A,B` either. */
export function typesFit(one: string, other: string): boolean {
  if (one === '*' || other === '*' || one === '' || other === '') return true
  const others = new Set(other.toUpperCase().split(','))
  return one
    .toUpperCase()
    .split(',')
    .some((type) => others.has(type))
}
