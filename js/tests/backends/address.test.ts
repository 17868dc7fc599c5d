import { describe, expect, it } from 'vitest'

import { isWebAddress, readAddress, suggestName } from '@/views/backends/address'

describe('an address that a user pastes', () => {
  it.each([
    ['192.168.1.5', 'http://192.168.1.5:8188'],
    ['desk', 'http://desk:8188'],
    ['desk:9000', 'http://desk:9000'],
    ['desk:80', 'http://desk'],
    [' http://desk:8188/ ', 'http://desk:8188'],
    ['"http://desk:8188"', 'http://desk:8188'],
    ['http://desk:8188/#workflow', 'http://desk:8188'],
    ['http://desk:8188/index.html?x=1', 'http://desk:8188'],
    ['http://desk:8188/api', 'http://desk:8188'],
    ['https://gpu.example.com/comfy/', 'https://gpu.example.com/comfy'],
    ['gpu.example.com/comfy', 'http://gpu.example.com/comfy'],
    ['http://desk', 'http://desk'],
    ['[fe80::1]:8188', 'http://[fe80::1]:8188'],
    ['HTTP://Desk:8188', 'http://desk:8188'],
  ])('%s is %s', (text, url) => {
    expect(readAddress(text)).toMatchObject({ url })
  })

  it.each([
    ['', 'empty'],
    ['  ', 'empty'],
    ['http://', 'unreadable'],
    ['two words', 'unreadable'],
    ['ftp://desk', 'scheme'],
    ['javascript://x/%0aalert(1)', 'scheme'],
  ])('%j is none: %s', (text, problem) => {
    expect(readAddress(text)).toEqual({ problem })
  })
})

describe('a name to begin with', () => {
  it.each([
    ['http://desk.local:8188', 'desk'],
    ['http://192.168.1.5:8188', '192.168.1.5'],
    ['http://[fe80::1]:8188', '[fe80::1]'],
  ])('of %s is %s', (url, name) => {
    expect(suggestName(url, [])).toBe(name)
  })

  it('tells servers on one machine apart', () => {
    expect(suggestName('http://desk:8189', ['Desk'])).toBe('desk:8189')
    expect(suggestName('http://desk:8189', ['desk', 'desk:8189'])).toBe('desk:8189 (2)')
    expect(suggestName('https://desk', ['desk'])).toBe('desk (2)')
  })
})

it('only web addresses are opened', () => {
  expect(['https://a', 'http://a', 'javascript:alert(1)', 'file:///etc'].map(isWebAddress)).toEqual([true, true, false, false])
})
