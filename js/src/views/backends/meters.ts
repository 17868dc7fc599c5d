import { formatBytes, formatRatio, number } from '@/i18n/format'
import type { TextKey, Translate } from '@/i18n/translate'
import type { Curve, DeviceTrack } from '@/state/telemetry'

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

/** The meters of a device: those that it measures. Pure. */
export function metersOf(device: DeviceTrack, t: Translate): Meter[] {
  const { values, curves } = device
  const language = t.language()
  const meters: Meter[] = []
  const add = (metric: string, name: TextKey, value: string, max: number) => {
    const curve = curves[metric]
    if (curve !== undefined && values[metric] !== undefined) meters.push({ metric, name: t(name), value, curve, max })
  }
  const total = values['vram_total_bytes'] ?? 0
  const used = values['vram_used_bytes'] ?? 0
  const watts = values['power_w'] ?? 0
  add('gpu_busy_ratio', 'backends.meters.busy', formatRatio(values['gpu_busy_ratio'] ?? 0, language), 1)
  add('vram_used_bytes', 'backends.meters.vram', total > 0 ? formatShare(used, total, language) : formatBytes(used, language), total || used || 1)
  add('temperature_c', 'backends.meters.temperature', `${number(values['temperature_c'] ?? 0, 0, language)} °C`, HOT_C)
  add('power_w', 'backends.meters.power', `${number(watts, 0, language)} W`, values['power_limit_w'] ?? POWER_W)
  return meters
}

/** `9.3 / 24 GB`: the unit once, that of the whole. */
export function formatShare(used: number, total: number, language: string): string {
  const whole = formatBytes(total, language)
  const [, unit = ''] = whole.split(' ')
  const steps = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'].indexOf(unit)
  return `${number(used / 1024 ** steps, 1, language)} / ${whole}`
}
