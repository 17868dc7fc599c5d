import type { Samples } from '@/api/schemas/telemetry'

import { gpuName } from '../describe'
import type { ChartData } from './chart'
import { unitOf } from './units'

/** What was measured over a span of time, at even steps. */
export interface Measured {
  /** When the first step begins. */
  readonly start: number
  readonly step_s: number
  readonly series: readonly MeasuredSeries[]
}

export interface MeasuredSeries {
  /** Id of the device; empty for the machine as a whole. */
  readonly device: string
  readonly name: string
  readonly metric: string
  readonly average: readonly (number | null)[]
  readonly least?: readonly (number | null)[] | undefined
  readonly most?: readonly (number | null)[] | undefined
}

/** Return an answer of the server as the charts take it. Pure. */
export function measuredOf({ from, step_s, series }: Samples): Measured {
  return {
    start: from,
    step_s,
    series: series.map(({ device, device_name, metric, avg, min, max }) => ({
      device,
      name: device_name,
      metric,
      average: avg ?? [],
      least: min ?? undefined,
      most: max ?? undefined,
    })),
  }
}

/** One chart: a metric with a line for each device. */
export interface MetricChart {
  readonly metric: string
  readonly data: ChartData
  /** The top of the axis, where the metric has one. */
  readonly max: number | undefined
}

/** What people look for first; everything else is behind a switch. */
export const MAIN_METRICS: readonly string[] = [
  'gpu_busy_ratio',
  'vram_used_bytes',
  'temperature_c',
  'power_w',
  'cpu_ratio',
  'ram_used_bytes',
]

/** Which metric is the top of another's axis. */
const TOPS: Readonly<Record<string, string>> = {
  vram_used_bytes: 'vram_total_bytes',
  torch_allocated_bytes: 'vram_total_bytes',
  torch_reserved_bytes: 'vram_total_bytes',
  power_w: 'power_limit_w',
  ram_used_bytes: 'ram_total_bytes',
  process_ram_bytes: 'ram_total_bytes',
}
const ONLY_TOPS = new Set(['vram_total_bytes', 'ram_total_bytes'])

/** The names to ask for; none for all of them. */
export function metricsFor(everything: boolean): string[] {
  if (everything) return []
  return [...MAIN_METRICS, ...MAIN_METRICS.flatMap((metric) => TOPS[metric] ?? [])]
}

/**
 * Make the charts of what was measured. Pure.
 *
 * @param everything whether those are included that are not among the main ones.
 */
export function chartsOf(measured: Measured, everything: boolean): MetricChart[] {
  const metrics = [...new Set(measured.series.map(({ metric }) => metric))]
  const rank = (metric: string) => (MAIN_METRICS.indexOf(metric) + 1 || Infinity) // the others keep their order
  return metrics
    .filter((metric) => !ONLY_TOPS.has(metric) && (everything || MAIN_METRICS.includes(metric)))
    .filter((metric) => measured.series.some((one) => one.metric === metric && one.average.some((value) => value !== null)))
    .sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)))
    .map((metric) => chartOf(measured, metric))
}

function chartOf({ start, step_s, series }: Measured, metric: string): MetricChart {
  const own = series.filter((one) => one.metric === metric)
  const steps = Math.max(...own.map(({ average }) => average.length))
  const at = Array.from({ length: steps }, (_, step) => start + step * step_s)
  // Bounds of several lines lie over one another and hide more than they tell.
  const bounds = own.length === 1
  return {
    metric,
    max: topOf(series, metric),
    data: {
      at,
      lines: own.map(({ name, device, average, least, most }) => ({
        label: gpuName(name) || device,
        values: average,
        least: bounds ? least : undefined,
        most: bounds ? most : undefined,
      })),
    },
  }
}

function topOf(series: readonly MeasuredSeries[], metric: string): number | undefined {
  const unit = unitOf(metric)
  if (unit === 'ratio') return 1
  if (unit === 'c') return 100
  const tops = series.filter((one) => one.metric === TOPS[metric]).flatMap(({ average }) => average.filter((value) => value !== null))
  return tops.length > 0 ? Math.max(...tops) : undefined
}
