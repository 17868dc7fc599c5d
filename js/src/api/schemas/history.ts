import * as v from 'valibot'

/** What a backend did for us: see GET /backends/{id}/attempts. */
export const BackendAttempt = v.object({
  id: v.string(),
  job_id: v.string(),
  definition: v.string(),
  number: v.number(),
  status: v.string(),
  cause: v.nullable(v.string()),
  message: v.string(),
  created_at: v.number(),
  started_at: v.nullable(v.number()),
  ended_at: v.nullable(v.number()),
  peak_vram_bytes: v.nullable(v.number()),
  energy_j: v.nullable(v.number()),
})

export const BackendAttempts = v.object({ attempts: v.array(BackendAttempt) })

export type BackendAttempt = v.InferOutput<typeof BackendAttempt>

/** What happened to a backend itself: see GET /backends/{id}/events. */
export const BackendEvent = v.object({
  at: v.number(),
  kind: v.string(),
  reason: v.string(),
  until: v.nullable(v.number()),
})

export const BackendEvents = v.object({ events: v.array(BackendEvent) })

export type BackendEvent = v.InferOutput<typeof BackendEvent>
