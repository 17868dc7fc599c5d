/** Numbers, sizes, durations and times as people read them, in a language. Pure: what "now" is, is passed in. */

/** Making a formatter takes much longer than using it. */
const formatters = new Map<string, unknown>()

function remembered<T>(kind: string, language: string, options: object, make: () => T): T {
  const key = `${kind} ${language} ${JSON.stringify(options)}`
  let found = formatters.get(key) as T | undefined
  if (found === undefined) {
    found = make()
    formatters.set(key, found)
  }
  return found
}

function numbers(language: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return remembered('number', language, options, () => new Intl.NumberFormat(language, options))
}

export function formatBytes(bytes: number, language: string): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${number(value, value < 10 && unit > 0 ? 1 : 0, language)} ${units[unit] ?? ''}`
}

export function formatRatio(ratio: number, language: string): string {
  return numbers(language, { style: 'percent', maximumFractionDigits: 0 }).format(ratio)
}

/** A duration in its two largest units: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `5 d 3 h`. */
export function formatDuration(seconds: number, language: string): string {
  if (seconds < 1) return `${number(Math.max(0, seconds * 1000), 0, language)} ms`
  if (seconds < 10) return `${number(seconds, 1, language)} s`
  const steps: readonly [number, string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ]
  const whole = Math.round(seconds)
  const first = steps.findIndex(([size]) => whole >= size)
  const parts = steps.slice(first, first + 2).map(([size, unit], index) => {
    const outer = index === 0 ? Infinity : (steps[first]?.[0] ?? Infinity)
    return [Math.floor((whole % outer) / size), unit] as const
  })
  return parts
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${number(value, 0, language)} ${unit}`)
    .join(' ')
}

/** A moment: the time alone when it is of today, else the date too. */
export function formatTime(at: number, now: number, language: string): string {
  const date = new Date(at * 1000)
  const today = new Date(now * 1000).toDateString() === date.toDateString()
  const options: Intl.DateTimeFormatOptions = today ? { timeStyle: 'medium' } : { dateStyle: 'medium', timeStyle: 'short' }
  return remembered('time', language, options, () => new Intl.DateTimeFormat(language, options)).format(date)
}

/** How long ago, or in how long, in the language's shortest words: it stands beside names that need the room. */
export function formatRelative(at: number, now: number, language: string): string {
  const seconds = at - now
  const style = { numeric: 'auto', style: 'narrow' } as const
  const format = remembered('relative', language, {}, () => new Intl.RelativeTimeFormat(language, style))
  const steps: readonly [Intl.RelativeTimeFormatUnit, number][] = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ]
  for (const [unit, size] of steps) {
    if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit)
  }
  return format.format(Math.round(seconds), 'second')
}

export function number(value: number, digits: number, language: string): string {
  return numbers(language, { maximumFractionDigits: digits }).format(value)
}
