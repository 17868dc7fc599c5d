import { formatBytes, formatRatio, number } from '@/i18n/format'
import type { Translate } from '@/i18n/translate'
import type { Curve, DeviceTrack, Track } from '@/state/telemetry'

/** One small curve of a card with its latest value. */
export interface Meter {
  readonly metric: string
  readonly name: string
  readonly value: string
  readonly curve: Curve
  readonly max: number
}

/** Scales that do not jump with the values: a curve must mean the same in every card. */
const HOT_C = 100
const POWER_W = 350

type Measured = Pick<DeviceTrack, 'values' | 'curves'>

/** The meters of a GPU: those that it measures. Pure. */
export function deviceMeters(device: Measured, t: Translate): Meter[] {
  const { values } = device
  const language = t.language()
  const watts = values['power_w'] ?? 0
  const degrees = number(values['temperature_c'] ?? 0, 0, language)
  return [
    meter(device, 'gpu_busy_ratio', t('backends.meters.busy'), formatRatio(values['gpu_busy_ratio'] ?? 0, language), 1),
    memory(device, 'vram_used_bytes', 'vram_total_bytes', t('backends.meters.vram'), language),
    meter(device, 'temperature_c', t('backends.meters.temperature'), `${degrees} °C`, HOT_C),
    meter(device, 'power_w', t('backends.meters.power'), `${number(watts, 0, language)} W`, values['power_limit_w'] ?? POWER_W),
  ].filter((one) => one !== null)
}

/** The meters of a machine without a GPU. Pure. */
export function hostMeters({ host, curves }: Pick<Track, 'host' | 'curves'>, t: Translate): Meter[] {
  const language = t.language()
  const machine = { values: host, curves }
  return [
    meter(machine, 'cpu_ratio', t('backends.meters.cpu'), formatRatio(host['cpu_ratio'] ?? 0, language), 1),
    memory(machine, 'ram_used_bytes', 'ram_total_bytes', t('backends.meters.ram'), language),
  ].filter((one) => one !== null)
}

function meter({ values, curves }: Measured, metric: string, name: string, value: string, max: number): Meter | null {
  const curve = curves[metric]
  return curve === undefined || values[metric] === undefined ? null : { metric, name, value, curve, max }
}

function memory(measured: Measured, metric: string, whole: string, name: string, language: string): Meter | null {
  const used = measured.values[metric] ?? 0
  const total = measured.values[whole] ?? 0
  const text = total > 0 ? formatShare(used, total, language) : formatBytes(used, language)
  return meter(measured, metric, name, text, total || used || 1)
}

/** `9.3 / 24 GB`: the unit once, that of the whole. */
export function formatShare(used: number, total: number, language: string): string {
  const whole = formatBytes(total, language)
  const [, unit = ''] = whole.split(' ')
  const steps = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'].indexOf(unit)
  return `${number(used / 1024 ** steps, 1, language)} / ${whole}`
}
