/**
 * JSON whose whole numbers are exact. Python's have no limit and seeds go up to 2^64, while numbers of this language are
 * whole only up to 2^53: those beyond it are read as `bigint`, and written with all their digits. Pure.
 */

/** A text without so long a row of digits holds no number that could be rounded. */
const LONG = /\d{16}/u
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gsu
const WHOLE = /^-?(?:0|[1-9]\d*)$/u

/** @throws SyntaxError when it is no JSON. */
export function parseExact(text: string): unknown {
  if (!LONG.test(text)) return JSON.parse(text)
  const mark = markFor(text)
  let marked = false
  const rewritten = text.replace(TOKENS, (token) => {
    if (!WHOLE.test(token) || Number.isSafeInteger(Number(token))) return token
    marked = true
    return `"${mark}${token}"`
  })
  if (!marked) return JSON.parse(text)
  return JSON.parse(rewritten, (_, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(mark)) return value
    const digits = value.slice(mark.length)
    return WHOLE.test(digits) ? BigInt(digits) : value
  })
}

/** Return the text that `JSON.stringify` gives, which refuses a `bigint`. */
export function printExact(value: unknown): string {
  let large = false
  const without = JSON.stringify(value, (_, one: unknown) => {
    if (typeof one !== 'bigint') return one
    large = true
    return ''
  })
  if (!large) return without
  const mark = markFor(without)
  const text = JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? mark + one.toString() : one))
  return text.replace(new RegExp(`"${mark}(-?\\d+)"`, 'gu'), '$1')
}

/** A word that the text does not hold. */
function markFor(text: string): string {
  let number = 0
  while (text.includes(`whole${number}:`)) number++
  return `whole${number}:`
}
