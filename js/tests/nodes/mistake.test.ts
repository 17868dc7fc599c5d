import { describe, expect, it } from 'vitest'

import { excerpt, mended, type Problem } from '@/nodes/mistake'

const problem = (position: number, length: number, suggestion: string | null = null): Problem => ({
  widget: 'expression',
  position,
  length,
  message: '',
  suggestion,
})

describe('a mistake in an expression', () => {
  it('is shown with a little around it, on one line', () => {
    expect(excerpt('a.wdith > 5', problem(2, 5))).toEqual({ before: 'a.', wrong: 'wdith', after: ' > 5' })
    const long = `${'x + '.repeat(20)}wrong\n${' + y'.repeat(20)}`
    const cut = excerpt(long, problem(80, 5))
    expect(cut.before.startsWith('…')).toBe(true)
    expect(cut.after.endsWith('…')).toBe(true)
    expect(cut.after).not.toContain('\n')
  })

  it('is counted in characters, not in their halves', () => {
    expect(excerpt('"🦊" + b', problem(6, 1)).wrong).toBe('b')
    expect(mended('"🦊" + b', problem(6, 1, 'a'))).toBe('"🦊" + a')
  })

  it('is a place where something is missing at the end of the text', () => {
    expect(excerpt('a > ', problem(4, 0))).toEqual({ before: 'a > ', wrong: '', after: '' })
  })
})
