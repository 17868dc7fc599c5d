import { expect, it } from 'vitest'

import { createTranslate } from '@/i18n/translate'
import { titleOf } from '@/views/runs/title'

const t = createTranslate(() => 'en')

it('calls a run by its title, and one without by its time', () => {
  expect(titleOf({ title: 'Portrait, Upscale ×2', created_at: 0 }, 0, t)).toBe('Portrait, Upscale ×2')
  expect(titleOf({ title: '', created_at: 0 }, 86_400 * 9, t)).toMatch(/^Run of .*19(69|70)/u)
})
