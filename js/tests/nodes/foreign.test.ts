import { expect, it } from 'vitest'

import { foreignAmong } from '@/nodes/foreign'

import { definition } from '../support/library'

const brought = (id: string, content_hash: string, same_as: string | null = null) => ({
  id,
  name: id,
  description: '',
  standing: 'differs' as const,
  content_hash,
  same_as,
})
const library = { versions: (id: string) => Promise.resolve([definition(id, { content_hash: 'new' }), definition(id, { content_hash: 'old' })]) }

it('finds workflows of others under an id of the library, and where it has a copy', async () => {
  const found = await foreignAmong(library, [brought('a', 'theirs'), brought('b', 'theirs', 'b-2')], ['a', 'b'])
  expect([...found]).toEqual([['a', null], ['b', 'b-2']])
})

it('takes an older version of one’s own for no news, nor what no node runs', async () => {
  expect((await foreignAmong(library, [brought('a', 'old'), brought('c', 'theirs')], ['a'])).size).toBe(0)
  expect((await foreignAmong(library, [{ ...brought('a', 'new'), standing: 'equal' }], ['a'])).size).toBe(0)
})
