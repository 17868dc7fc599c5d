import { describe, expect, it } from 'vitest'

import { planSlots, typesFit, type Meaning, type Present } from '@/nodes/slots'

const image = (name: string): Meaning => ({ name, type: 'IMAGE' })
const int = (name: string): Meaning => ({ name, type: 'INT' })
const linked = (meaning: Meaning): Present => ({ ...meaning, linked: true })
const free = (meaning: Meaning): Present => ({ ...meaning, linked: false })

function plan(present: readonly Present[], meanings: readonly Meaning[]) {
  return planSlots(present, meanings, (slot, meaning) =>
    typesFit(present[slot]?.type ?? '*', meanings[meaning]?.type ?? '*'),
  )
}

/** What each slot means afterwards, with the slot that it was. */
function result(present: readonly Present[], meanings: readonly Meaning[]) {
  return plan(present, meanings).slots.map(({ from, meaning }) => `${from ?? 'new'}:${meanings[meaning]?.name ?? ''}`)
}

describe('slots for another workflow', () => {
  it('follow the order of the workflow where nothing is linked', () => {
    expect(result([free(image('b')), free(image('a'))], [image('a'), int('n'), image('b')])).toEqual(['0:a', '1:n', 'new:b'])
  })

  it('keep their links by name, also in another order', () => {
    const present = [linked(image('photo')), free(image('mask')), linked(int('seed'))]
    expect(result(present, [image('style'), image('photo'), int('seed')])).toEqual(['0:photo', '1:style', '2:seed'])
  })

  it('keep their links by type where the name is gone', () => {
    const present = [linked(image('photo')), linked(int('seed'))]
    expect(result(present, [int('noise'), image('picture')])).toEqual(['0:picture', '1:noise'])
  })

  it('prefer the name to the type', () => {
    const present = [linked(image('first')), linked(image('second'))]
    expect(result(present, [image('second'), image('third')])).toEqual(['0:third', '1:second'])
  })

  it('lose the links that fit nothing', () => {
    const present = [linked(image('photo')), linked(int('seed'))]
    const planned = plan(present, [image('photo'), image('other')])
    expect(planned.unlinked).toEqual([1])
    expect(planned.removed).toEqual([])
    expect(result(present, [image('photo')])).toEqual(['0:photo'])
    expect(plan(present, [image('photo')]).removed).toEqual([1])
  })

  it('do not keep a link by name where the type has changed', () => {
    expect(plan([linked(image('x'))], [int('x')]).unlinked).toEqual([0])
  })

  it('close gaps from the end of the row', () => {
    const present = [free(image('a')), free(image('b')), linked(image('c'))]
    const planned = plan(present, [image('c')])
    expect(planned.removed).toEqual([1, 0])
    expect(planned.slots).toEqual([{ from: 2, meaning: 0 }])
  })

  it('are all new where there were none, and none where nothing is wanted', () => {
    expect(result([], [image('a')])).toEqual(['new:a'])
    expect(plan([linked(image('a'))], [])).toEqual({ slots: [], removed: [0], unlinked: [] })
  })
})

describe('types', () => {
  it('fit as ComfyUI has it', () => {
    expect(typesFit('*', 'IMAGE')).toBe(true)
    expect(typesFit('IMAGE', 'MASK,image')).toBe(true)
    expect(typesFit('IMAGE', 'MASK')).toBe(false)
  })
})
