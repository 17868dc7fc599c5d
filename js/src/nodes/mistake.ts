/** How a mistake in an expression is shown in a narrow place. Pure. */

export interface Problem {
  readonly widget: 'expression' | 'names'
  /** Of the first character that is wrong, and how many are, in Unicode characters. */
  readonly position: number
  readonly length: number
  readonly message: string
  readonly suggestion: string | null
}

const BEFORE = 18
const AFTER = 24
const WRONG = 40

/** Cut the part of a text out that a problem is about, with a little around it, on one line. */
export function excerpt(text: string, { position, length }: Problem): { before: string; wrong: string; after: string } {
  const characters = [...text]
  const end = position + length
  const line = (from: number, to: number) => characters.slice(from, to).join('').replace(/\s+/gu, ' ')
  const start = Math.max(0, position - BEFORE)
  return {
    before: (start > 0 ? '…' : '') + line(start, position),
    wrong: length > WRONG ? `${line(position, position + WRONG)}…` : line(position, end),
    after: line(end, end + AFTER) + (end + AFTER < characters.length ? '…' : ''),
  }
}

/** Return the text with the suggestion in the place of what is wrong. */
export function mended(text: string, { position, length, suggestion }: Problem): string {
  if (suggestion === null) return text
  const characters = [...text]
  return [...characters.slice(0, position), suggestion, ...characters.slice(position + length)].join('')
}
