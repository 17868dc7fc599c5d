import type { Device, Machine } from '@/api/schemas/telemetry'

/** A curve of the latest values, oldest first; null where a reading lacked it. */
export type Curve = readonly (number | null)[]

export interface DeviceTrack extends Device {
  readonly curves: Readonly<Record<string, Curve>>
}

/** The latest of a backend: its newest reading, and curves of those before. */
export interface Track extends Omit<Machine, 'devices'> {
  readonly devices: readonly DeviceTrack[]
  /** Of the machine as a whole. */
  readonly curves: Readonly<Record<string, Curve>>
}

/** Of which metrics cards draw curves. */
export const DEVICE_CURVES = ['gpu_busy_ratio', 'vram_used_bytes', 'temperature_c', 'power_w'] as const
export const HOST_CURVES = ['cpu_ratio', 'ram_used_bytes'] as const

/** How many readings a curve holds: two minutes at one a second. */
export const CURVE_LENGTH = 120

/** Return a track with a reading added. One that is not newer than the last changes nothing. Pure. */
export function extend(track: Track | undefined, machine: Machine): Track {
  if (track !== undefined && machine.at <= track.at) return track
  const known = new Map(track?.devices.map((device) => [device.id, device]))
  return {
    ...machine,
    curves: curves(HOST_CURVES, track?.curves, machine.host),
    devices: machine.devices.map((device) => ({
      ...device,
      curves: curves(DEVICE_CURVES, known.get(device.id)?.curves, device.values),
    })),
  }
}

function curves(
  metrics: readonly string[],
  before: Readonly<Record<string, Curve>> | undefined,
  values: Readonly<Record<string, number>>,
): Record<string, Curve> {
  const found: Record<string, Curve> = {}
  for (const metric of metrics) {
    const old = before?.[metric]
    const value = values[metric] ?? null
    if (old === undefined && value === null) continue
    const curve = old?.slice(1 - CURVE_LENGTH) ?? []
    curve.push(value)
    found[metric] = curve
  }
  return found
}
