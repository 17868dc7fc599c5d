import { expect, it } from 'vitest'

import { backendChoices } from '@/nodes/backendChoices'

it('a node may say what the server lists', () => {
  const backends = [
    { name: 'This server', tags: [] },
    { name: 'desk', tags: ['fast', 'attic'] },
    { name: 'big', tags: ['fast'] },
  ]
  const named = ['This server', 'desk', 'big', 'tag:attic', 'tag:fast']
  expect(backendChoices(backends)).toEqual(['auto', ...named, ...named.map((one) => `prefer:${one}`)])
})
