import { describe, expect, it, vi } from 'vitest'

import { compose } from '@/extension'
import type { ComfyApp } from '@/host/comfy'

const app = {} as ComfyApp

describe('an extension of several features', () => {
  it('has the lists of all of them and each hook once', async () => {
    const calls: string[] = []
    const extension = compose('ours', [
      { aboutPageBadges: [{ label: 'a', url: '', icon: '' }], setup: () => void calls.push('first') },
      { aboutPageBadges: [{ label: 'b', url: '', icon: '' }], setup: async () => void calls.push('second') },
    ])
    await extension.setup?.(app)
    expect(extension.aboutPageBadges?.map((badge) => badge.label)).toEqual(['a', 'b'])
    expect(calls).toEqual(['first', 'second'])
  })

  it('does without the hooks that no feature has: the host looks for what is there', () => {
    expect(Object.keys(compose('ours', [{ setup: () => undefined }]))).toEqual(['name', 'setup'])
  })

  it('lets the others go on when one fails', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const after = vi.fn()
    const extension = compose('ours', [
      {
        setup: () => {
          throw new Error('broken')
        },
      },
      { setup: () => Promise.reject(new Error('broken too')) },
      { setup: after },
    ])
    await extension.setup?.(app)
    expect(after).toHaveBeenCalled()
    expect(told).toHaveBeenCalledTimes(2)
  })

  it('joins the menu entries of all features', () => {
    const entry = (content: string) => ({ getNodeMenuItems: () => [{ content }] })
    const node = { id: 1, title: 'node' }
    expect(compose('ours', [entry('a'), entry('b')]).getNodeMenuItems?.(node)).toEqual([{ content: 'a' }, { content: 'b' }])
  })
})
