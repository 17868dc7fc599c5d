import type { Http, SendOptions } from './http'
import { segment } from './http'
import { MachineDetail, MachineList, Samples } from './schemas/telemetry'

export interface SamplesQuery {
  /** Seconds since the epoch. */
  readonly from: number
  readonly to: number
  /** All if left out. */
  readonly metrics?: readonly string[]
}

export function telemetryApi(http: Http) {
  return {
    /** What every machine does, as far as it was read. */
    machines: async () => (await http.get(MachineList, '/telemetry')).machines,
    machine: (backendId: string, options?: SendOptions) =>
      http.get(MachineDetail, `/backends/${segment(backendId)}/telemetry`, {}, options),
    /** What was measured, with averages and bounds, at steps that suit a chart. */
    samples: (backendId: string, query: SamplesQuery, options?: SendOptions) =>
      http.get(
        Samples,
        `/backends/${segment(backendId)}/samples`,
        { ...query, stats: ['avg', 'min', 'max'] },
        options,
      ),
  }
}

export type TelemetryApi = ReturnType<typeof telemetryApi>
