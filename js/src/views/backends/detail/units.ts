import { formatBytes, formatRatio, number } from '@/i18n/format'
import type { TextKey } from '@/i18n/translate'

export type Unit = 'ratio' | 'bytes' | 'bytes_s' | 'c' | 'w' | 'hz' | 'count'

/** The unit of a metric: its name ends in it. Pure. */
export function unitOf(metric: string): Unit {
  if (metric.endsWith('_ratio') || metric === 'throttled') return 'ratio'
  if (metric.endsWith('_bytes_s')) return 'bytes_s'
  if (metric.endsWith('_bytes')) return 'bytes'
  if (metric.endsWith('_c')) return 'c'
  if (metric.endsWith('_hz')) return 'hz'
  if (metric.endsWith('_w')) return 'w'
  return 'count'
}

/** A measured value as people read it. */
export function formatValue(value: number, unit: Unit, language: string): string {
  switch (unit) {
    case 'ratio':
      return formatRatio(value, language)
    case 'bytes':
      return formatBytes(value, language)
    case 'bytes_s':
      return `${formatBytes(value, language)}/s`
    case 'c':
      return `${number(value, 0, language)} °C`
    case 'w':
      return `${number(value, value < 10 ? 1 : 0, language)} W`
    case 'hz':
      return value >= 1e9 ? `${number(value / 1e9, 2, language)} GHz` : `${number(value / 1e6, 0, language)} MHz`
    case 'count':
      return number(value, 1, language)
  }
}

/** Steps between the lines of an axis that are round in the unit: powers of two for bytes. */
export function increments(unit: Unit): number[] {
  if (unit === 'bytes' || unit === 'bytes_s') return Array.from({ length: 50 }, (_, power) => 2 ** power)
  const found: number[] = []
  for (let power = -3; power < 13; power++) for (const step of [1, 2, 5]) found.push(Number(`${step}e${power}`))
  return found
}

const NAMED = [
  'gpu_busy_ratio',
  'memory_busy_ratio',
  'vram_used_bytes',
  'torch_allocated_bytes',
  'torch_reserved_bytes',
  'temperature_c',
  'power_w',
  'power_limit_w',
  'core_clock_hz',
  'memory_clock_hz',
  'fan_ratio',
  'pcie_received_bytes_s',
  'pcie_sent_bytes_s',
  'throttled',
  'ecc_errors',
  'cpu_ratio',
  'ram_used_bytes',
  'swap_used_bytes',
  'process_ram_bytes',
  'disk_read_bytes_s',
  'disk_written_bytes_s',
  'disk_free_bytes',
  'network_received_bytes_s',
  'network_sent_bytes_s',
] as const

/** What a metric is called; null for one of a newer agent. */
export function metricKey(metric: string): TextKey | null {
  const known = NAMED.find((name) => name === metric)
  return known === undefined ? null : `backends.metrics.${known}`
}
