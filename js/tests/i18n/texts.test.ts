import { describe, expect, it } from 'vitest'

import { createTranslate } from '@/i18n/translate'

type Tree = { readonly [key: string]: string | Tree }

const files = import.meta.glob<Tree>('../../../locales/*/*.json', { eager: true, import: 'default' })
const sources = import.meta.glob<string>('../../src/**/*.{ts,vue}', { eager: true, import: 'default', query: '?raw' })

function leaves(tree: Tree, prefix = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'string') found.set(prefix + key, value)
    else for (const [path, text] of leaves(value, `${prefix}${key}.`)) found.set(path, text)
  }
  return found
}

function texts(language: string, file: string): Map<string, string> {
  return leaves(files[`../../../locales/${language}/${file}`] ?? {})
}

const names = [...new Set(Object.keys(files).map((path) => path.split('/').at(-1) ?? ''))]

describe.each(names)('%s', (name) => {
  it('has the same texts in every language', () => {
    expect([...texts('zh', name).keys()].sort()).toEqual([...texts('en', name).keys()].sort())
  })

  it('has the same blanks to fill in in every language', () => {
    const blanks = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([blank]) => blank).sort()
    for (const [key, text] of texts('en', name)) expect(blanks(texts('zh', name).get(key) ?? ''), key).toEqual(blanks(text))
  })

  it('has no empty text', () => {
    for (const language of ['en', 'zh']) for (const text of texts(language, name).values()) expect(text.trim()).not.toBe('')
  })
})

describe('the texts of the interface', () => {
  // That every key that is used exists is a matter of types: see TextKey.
  it('are all used, apart from the common words', () => {
    const code = Object.values(sources).join('\n')
    const unused = [...texts('en', 'main.json').keys()]
      .map((key) => key.replace(/^orchestrator\./, ''))
      .filter((key) => !key.startsWith('ui.'))
      .filter((key) => {
        const base = key.replace(/_(one|other)$/, '')
        const group = base.slice(0, base.lastIndexOf('.'))
        return !code.includes(`'${base}'`) && !code.includes(`\`${group}.\${`)
      })
    expect(unused).toEqual([])
  })

  it('are in the language of the host, and in English where that is not ours', () => {
    expect(createTranslate(() => 'zh-TW')('ui.undo')).toBe('撤销')
    expect(createTranslate(() => 'fr')('ui.undo')).toBe('Undo')
  })
})
