import { describe, expect, it } from 'vitest'

import { createInputFiles, listed, place } from '@/nodes/files'

import { fakeHost } from '../support/fakeHost'

describe('the files of the input folder', () => {
  it('are read in both spellings of a list of choices, and damaged there are none', () => {
    const answer = (image: unknown) => ({ LoadImage: { input: { required: { image } } } })
    const read = (spec: unknown) => listed(spec, 'LoadImage', 'image')
    expect(read(answer([['a.png', 'b.png'], { image_upload: true }]))).toEqual(['a.png', 'b.png'])
    expect(read(answer(['COMBO', { options: ['a.png'] }]))).toEqual(['a.png'])
    expect(read(answer('x'))).toEqual([])
    expect(read(null)).toEqual([])
  })

  it('are offered to the inputs that their loader is for', async () => {
    const fake = fakeHost()
    fake.answer('GET /object_info/LoadAudio', () => ({ LoadAudio: { input: { required: { audio: [['a.flac']] } } } }))
    fake.answer('GET /object_info/LoadLatent', () => ({ LoadLatent: { input: { required: { latent: [['b.latent']] } } } }))
    fake.answer('GET /object_info/LoadImage', () => ({ LoadImage: { input: { required: { image: [['c.png']] } } } }))
    const files = createInputFiles(fake.host)
    await files.reload()
    expect(['AUDIO', 'LATENT', 'IMAGE', 'MASK', 'VIDEO', 'MODEL'].map((type) => files.list(type))).toEqual([
      ['a.flac'],
      ['b.latent'],
      ['c.png'],
      ['c.png'],
      [],
      [],
    ])
    expect(files.url('a & b/c.flac [temp]')).toBe('/api/view?filename=c.flac&subfolder=a+%26+b&type=temp')
  })

  it.each([
    ['cat.png', { filename: 'cat.png', subfolder: '', type: 'input' }],
    ['sub/deep/cat.png [temp]', { filename: 'cat.png', subfolder: 'sub/deep', type: 'temp' }],
    ['odd [name].wav', { filename: 'odd [name].wav', subfolder: '', type: 'input' }],
  ])('%s is where ComfyUI finds it', (name, expected) => {
    expect(place(name)).toEqual(expected)
  })
})
