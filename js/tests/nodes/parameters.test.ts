import { describe, expect, it } from 'vitest'

import { NOTHING_SAID, parseParameters, printParameters } from '@/nodes/parameters'

describe('the text of parameters', () => {
  it('says the same after it was read and written', () => {
    const text = '{"version":3,"values":{"seed":5,"prompt":"a fox"},"in":["photo"],"out":["image"]}'
    const parsed = parseParameters(text)
    expect(parsed && printParameters(parsed)).toBe(text)
  })

  it('keeps all digits of a number that the browser would round', () => {
    const text = '{"values":{"seed":18446744073709551613,"strength":0.25}}'
    const parsed = parseParameters(text)
    expect(parsed?.values['seed']).toBe(18446744073709551613n)
    expect(parsed && printParameters(parsed)).toBe(text)
  })

  it('says nothing where it is empty', () => {
    expect(parseParameters(' ')).toEqual(NOTHING_SAID)
    expect(parseParameters('{}')).toEqual(NOTHING_SAID)
    expect(printParameters(NOTHING_SAID)).toBe('{}')
  })

  it('does not carry on what only the server writes', () => {
    const parsed = parseParameters('{"out": ["image"], "wanted": ["image"]}')
    expect(parsed && printParameters(parsed)).toBe('{"out":["image"]}')
  })

  it.each(['{', '[]', '5', '{"in": "photo"}', '{"values": []}', '{"version": "3"}', '{"out": [1]}', 7, null])(
    'is not understood as %j',
    (text) => {
      expect(parseParameters(text)).toBeNull()
    },
  )
})
