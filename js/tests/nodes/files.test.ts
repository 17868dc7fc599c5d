import { describe, expect, it } from 'vitest'

import { listed } from '@/nodes/files'

describe('the images of the input folder', () => {
  it('are read in both spellings of a list of choices, and damaged there are none', () => {
    const answer = (image: unknown) => ({ LoadImage: { input: { required: { image } } } })
    expect(listed(answer([['a.png', 'b.png'], { image_upload: true }]))).toEqual(['a.png', 'b.png'])
    expect(listed(answer(['COMBO', { options: ['a.png'] }]))).toEqual(['a.png'])
    expect(listed(answer('x'))).toEqual([])
    expect(listed(null)).toEqual([])
  })
})
