/** What a machine measured at one moment, by metric: names end in their unit, as docs/telemetry.md lists them. */
export type Values = Readonly<Record<string, number>>

export interface DeviceSample {
  readonly id: string
  readonly name: string
  /** `ok`, or why there are no values. */
  readonly state: string
  readonly message: string
  readonly values: Values
}

export interface Sample {
  readonly backend_id: string
  readonly at: number
  readonly host: Values
  readonly devices: readonly DeviceSample[]
  /** Why there is less to see than there should be; empty when all is well. */
  readonly problem: string
}

/** A curve of the latest values, oldest first; null where a sample lacked it. */
export type Curve = readonly (number | null)[]

export interface DeviceTrack extends DeviceSample {
  readonly curves: Readonly<Record<string, Curve>>
}

/** The latest of a backend: its newest sample, and curves of those before. */
export interface Track {
  readonly at: number
  readonly host: Values
  readonly devices: readonly DeviceTrack[]
  readonly problem: string
}

/** Of which metrics cards draw curves. */
export const CURVE_METRICS = ['gpu_busy_ratio', 'vram_used_bytes', 'temperature_c', 'power_w'] as const

/** How many samples a curve holds: two minutes at one a second. */
export const CURVE_LENGTH = 120

/** Return a track with a sample added. One that is not newer than the last changes nothing. */
export function extend(track: Track | undefined, sample: Sample): Track {
  if (track !== undefined && sample.at <= track.at) return track
  const known = new Map(track?.devices.map((device) => [device.id, device]))
  return {
    at: sample.at,
    host: sample.host,
    problem: sample.problem,
    devices: sample.devices.map((device) => ({ ...device, curves: curves(known.get(device.id), device) })),
  }
}

function curves(before: DeviceTrack | undefined, device: DeviceSample): Record<string, Curve> {
  const found: Record<string, Curve> = {}
  for (const metric of CURVE_METRICS) {
    const old = before?.curves[metric]
    const value = device.values[metric] ?? null
    if (old === undefined && value === null) continue
    found[metric] = [...(old ?? []).slice(1 - CURVE_LENGTH), value]
  }
  return found
}
