import { describe, expect, it } from 'vitest'

import { gridNames, inputNames, shownCount } from '@/nodes/growth'

describe('a row of slots', () => {
  it('offers a free one behind the last that is used', () => {
    expect(shownCount({ declared: 32, least: 2 }, [])).toBe(2)
    expect(shownCount({ declared: 32, least: 2 }, [0, 1])).toBe(3)
    expect(shownCount({ declared: 32, least: 2 }, [4])).toBe(6)
  })

  it('ends where the server’s declaration does', () => {
    expect(shownCount({ declared: 8, least: 1 }, [7])).toBe(8)
  })
})

describe('the names of a grid', () => {
  it('are those of its lines or of its object, in order', () => {
    expect(gridNames('cfg: 4, 6.5\n\nsampler_name: euler')).toEqual(['cfg', 'sampler_name'])
    expect(gridNames('{"b": [1], "a": [2]}')).toEqual(['b', 'a'])
    expect(gridNames('{"b": ')).toEqual([])
    expect(gridNames('')).toEqual([])
  })
})

describe('the names of a condition', () => {
  it('replace the letters, as far as they are given', () => {
    expect(inputNames('photo, , score', ['a', 'b', 'c', 'd'])).toEqual(['photo', 'b', 'score', 'd'])
    expect(inputNames('', ['a'])).toEqual(['a'])
  })
})
