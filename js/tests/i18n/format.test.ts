import { expect, it } from 'vitest'

import { formatBytes, formatDuration, formatRelative, formatTime } from '@/i18n/format'

it.each([
  [0.0004, '0 ms'],
  [0.042, '42 ms'],
  [3.14, '3.1 s'],
  [42, '42 s'],
  [185, '3 min 5 s'],
  [120, '2 min'],
  [7_800, '2 h 10 min'],
  [90_000, '1 d 1 h'],
])('%d s is %s', (seconds, text) => {
  expect(formatDuration(seconds, 'en')).toBe(text)
})

it.each([
  [0, '0 B'],
  [1536, '1.5 KB'],
  [24 * 1024 ** 3, '24 GB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes, 'en')).toBe(text)
})

it('moments are told in the language, and of today without the date', () => {
  const now = new Date(2026, 4, 5, 12).getTime() / 1000
  expect(formatTime(now - 60, now, 'en')).toMatch(/^11:59:00.AM$/)
  expect(formatTime(now - 86_400, now, 'en')).toContain('May 4, 2026')
  expect(formatRelative(now - 7_200, now, 'en')).toBe('2h ago')
  expect(formatRelative(now - 7_200, now, 'zh')).toBe('2小时前')
})
