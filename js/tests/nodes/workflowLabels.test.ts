import { expect, it } from 'vitest'

import { workflowLabels } from '@/nodes/workflowLabels'

const label = workflowLabels([
  { id: 'portrait', name: 'Portrait' },
  { id: 'upscale', name: 'Upscale' },
  { id: 'upscale-2', name: 'Upscale' },
  { id: 'odd', name: 'portrait' },
])

it('shows workflows by their names', () => {
  expect(label('portrait')).toBe('Portrait')
})

it('tells those of one name apart', () => {
  expect([label('upscale'), label('upscale-2')]).toEqual(['Upscale (upscale)', 'Upscale (upscale-2)'])
  expect(label('odd')).toBe('portrait (odd)')
})

it('shows one that the library lacks by its id', () => {
  expect([label('gone'), label(''), label(null)]).toEqual(['gone', '', ''])
})
