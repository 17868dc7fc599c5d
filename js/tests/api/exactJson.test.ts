import { describe, expect, it } from 'vitest'

import { parseExact, printExact } from '@/api/exactJson'

describe('exact JSON', () => {
  it.each([
    '18446744073709551615',
    '-9007199254740993',
    '9007199254740991',
    '{"seed":18446744073709551613,"in":["photo"],"deep":[{"also":9007199254740993}]}',
    '{"text":"18446744073709551615","quoted":"\\"12345678901234567890\\"","end":"\\\\"}',
    '{"whole0:":"whole0:12345678901234567890","n":12345678901234567890}',
    '[0.1234567890123456,1e+22,true,null]',
  ])('is the same text after it was read and written: %s', (text) => {
    expect(printExact(parseExact(text))).toBe(text)
  })

  it('reads small numbers and fractions as numbers', () => {
    expect(parseExact('[9007199254740991, 0.12345678901234567, 1.8446744073709552e19]')).toEqual([
      Number.MAX_SAFE_INTEGER,
      0.12345678901234567,
      2 ** 64,
    ])
    expect(parseExact('[9007199254740993]')).toEqual([9007199254740993n])
  })

  it('leaves texts alone that look like what it writes in between', () => {
    expect(parseExact('["whole0:77", "\\u0077hole1:x", 12345678901234567890]')).toEqual([
      'whole0:77',
      'whole1:x',
      12345678901234567890n,
    ])
  })

  it.each(['{', '01234567890123456789', '1234567890123456789012,', '["whole', ''])('refuses what is none: %j', (text) => {
    expect(() => parseExact(text)).toThrow(SyntaxError)
  })

  it('writes what is undefined as JSON does', () => {
    expect(printExact({ a: undefined, b: 2n ** 70n })).toBe('{"b":1180591620717411303424}')
  })
})
