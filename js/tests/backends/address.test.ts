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

it('names come from the first part of the host, and addresses stay whole', () => {
  expect(['desk.local', '192.168.1.5', '[fe80::1]'].map(suggestName)).toEqual(['desk', '192.168.1.5', '[fe80::1]'])
})

it('only web addresses are opened', () => {
  expect(['https://a', 'http://a', 'javascript:alert(1)', 'file:///etc'].map(isWebAddress)).toEqual([true, true, false, false])
})
