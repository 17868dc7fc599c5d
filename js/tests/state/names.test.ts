import { flushPromises } from '@vue/test-utils'
import { expect, it } from 'vitest'

import { definition } from '../support/library'
import { fakeHost } from '../support/fakeHost'
import { contextOf } from '../support/mounting'

it('knows workflows by their names once somebody wants one, and anew when the library changes', async () => {
  const fake = fakeHost()
  const { names } = contextOf(fake)
  let name = 'Upscale'
  fake.answer('GET /definitions', () => ({ definitions: [definition('upscale', { name }), definition('portrait', { name: 'A portrait' })] }))
  expect(fake.requests).toEqual([])
  expect(names.of('upscale')).toBe('upscale')
  await flushPromises()
  expect(names.of('upscale')).toBe('Upscale')
  expect(names.all().map(([id]) => id)).toEqual(['portrait', 'upscale'])
  expect(names.of('deleted')).toBe('deleted')
  name = 'Upscale twice'
  fake.message('orchestrator.library', { versions: { upscale: 2 } })
  await flushPromises()
  expect(names.of('upscale')).toBe('Upscale twice')
})
