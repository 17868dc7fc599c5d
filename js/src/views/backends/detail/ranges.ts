/** A span of time that charts show, and how often it moves on. */
export interface Range {
  readonly id: '5min' | '30min' | '2h' | '12h' | '1d' | '7d' | '30d'
  readonly length_s: number
  readonly refresh_s: number
}

const MINUTE_S = 60
const HOUR_S = 3_600
const DAY_S = 86_400

export const RANGES: readonly [Range, ...Range[]] = [
  { id: '5min', length_s: 5 * MINUTE_S, refresh_s: 2 },
  { id: '30min', length_s: 30 * MINUTE_S, refresh_s: 10 },
  { id: '2h', length_s: 2 * HOUR_S, refresh_s: 30 },
  { id: '12h', length_s: 12 * HOUR_S, refresh_s: MINUTE_S },
  { id: '1d', length_s: DAY_S, refresh_s: 2 * MINUTE_S },
  { id: '7d', length_s: 7 * DAY_S, refresh_s: 10 * MINUTE_S },
  { id: '30d', length_s: 30 * DAY_S, refresh_s: 30 * MINUTE_S },
]
