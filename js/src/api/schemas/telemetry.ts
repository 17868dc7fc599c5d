import * as v from 'valibot'

/** By the names of metrics, which end in their unit. */
const Values = v.record(v.string(), v.number())

export const Device = v.object({
  id: v.string(),
  name: v.string(),
  state: v.string(),
  message: v.string(),
  throttled_by: v.array(v.string()),
  values: Values,
})

/** What a backend's machine does at one moment. */
export const Machine = v.object({
  backend_id: v.string(),
  at: v.number(),
  source: v.string(),
  interval_s: v.number(),
  problem: v.string(),
  host: Values,
  devices: v.array(Device),
})

export const MachineList = v.object({ machines: v.array(Machine) })

export const LoadedModel = v.object({
  name: v.string(),
  size_bytes: v.number(),
  loaded_bytes: v.number(),
  device: v.string(),
})

export const GpuProcess = v.object({
  pid: v.number(),
  name: v.string(),
  vram_used_bytes: v.nullable(v.number()),
  own: v.boolean(),
})

/** Everything about a machine now, with what holds its memory. */
export const MachineDetail = v.object({
  devices: v.array(v.object({ id: v.string(), name: v.string(), processes: v.array(GpuProcess) })),
  models: v.array(LoadedModel),
})

const Column = v.optional(v.nullable(v.array(v.nullable(v.number()))), null)

export const Series = v.object({
  device: v.string(),
  device_name: v.string(),
  metric: v.string(),
  avg: Column,
  min: Column,
  max: Column,
})

/** Value number i of each series is that of the time from `from` + i · `step_s` on. */
export const Samples = v.object({ from: v.number(), step_s: v.number(), steps: v.number(), series: v.array(Series) })

export type Device = v.InferOutput<typeof Device>
export type Machine = v.InferOutput<typeof Machine>
export type LoadedModel = v.InferOutput<typeof LoadedModel>
export type GpuProcess = v.InferOutput<typeof GpuProcess>
export type MachineDetail = v.InferOutput<typeof MachineDetail>
export type Series = v.InferOutput<typeof Series>
export type Samples = v.InferOutput<typeof Samples>
