import * as v from 'valibot'

/** Times are seconds since the epoch, durations end in `_s`, sizes in `_bytes`. Unknown fields are dropped. */

export const Gpu = v.object({
  name: v.string(),
  type: v.string(),
  vram_total_bytes: v.number(),
  vram_free_bytes: v.number(),
})

/** This pack on the backend. */
export const Agent = v.object({
  version: v.string(),
  protocol: v.string(),
  /** Whether values move through it, bit for bit. */
  trusted: v.boolean(),
  /** Why they do not, in words. */
  problem: v.string(),
})

export const Capabilities = v.object({
  comfyui_version: v.string(),
  python_version: v.string(),
  os: v.string(),
  gpus: v.array(Gpu),
  max_upload_bytes: v.nullable(v.number()),
  node_classes: v.number(),
  models: v.record(v.string(), v.number()),
  taken_at: v.number(),
  agent: v.optional(v.nullable(Agent), null),
})

/** A status that this page does not know is shown as `unknown` and stops nothing. */
export const BackendStatus = v.fallback(v.picklist(['unknown', 'online', 'degraded', 'suspended', 'offline']), 'unknown')

export const Backend = v.object({
  id: v.string(),
  name: v.string(),
  status: BackendStatus,
  since: v.number(),
  latency_s: v.nullable(v.number()),
  last_error: v.string(),
  last_seen_at: v.nullable(v.number()),
  suspended_until: v.nullable(v.number()),
  /** Whether it gets no new jobs, while those it has go on. */
  draining: v.boolean(),
  queue_remaining: v.number(),
  in_flight: v.number(),
  base_url: v.string(),
  local: v.boolean(),
  enabled: v.boolean(),
  tags: v.array(v.string()),
  notes: v.string(),
  tls: v.object({ verify: v.boolean(), ca_file: v.nullable(v.string()) }),
  credentials: v.object({
    has_bearer_token: v.boolean(),
    username: v.nullable(v.string()),
    has_password: v.boolean(),
    header_names: v.array(v.string()),
    has_agent_token: v.optional(v.boolean(), false),
  }),
  created_at: v.number(),
  capabilities: v.nullable(Capabilities),
})

export const BackendList = v.object({ backends: v.array(Backend) })

export const Problem = v.object({ code: v.string(), message: v.string() })

export const Trial = v.object({
  usable: v.boolean(),
  capabilities: v.nullable(Capabilities),
  problem: v.nullable(Problem),
})

export const Probe = v.object({ answered: v.boolean(), backend: Backend, problem: v.nullable(Problem) })

export const NodeClasses = v.object({ node_classes: v.array(v.string()) })

export const Models = v.object({ models: v.record(v.string(), v.array(v.string())) })

export const CancelledJobs = v.object({ job_ids: v.array(v.string()) })

export type Gpu = v.InferOutput<typeof Gpu>
export type Agent = v.InferOutput<typeof Agent>
export type Capabilities = v.InferOutput<typeof Capabilities>
export type BackendStatus = v.InferOutput<typeof BackendStatus>
export type Backend = v.InferOutput<typeof Backend>
export type Problem = v.InferOutput<typeof Problem>
export type Trial = v.InferOutput<typeof Trial>
export type Probe = v.InferOutput<typeof Probe>
