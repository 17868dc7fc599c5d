import * as v from 'valibot'

import type { Host } from '@/host/host'

import { Backend } from './schemas/backends'
import { JobChange, Progress } from './schemas/jobs'
import { MachineList } from './schemas/telemetry'

/** The messages of the server's own kind, by type: see docs/api.md. */
const SCHEMAS = {
  'orchestrator.jobs': v.object({ changes: v.array(JobChange) }),
  'orchestrator.progress': v.object({ jobs: v.array(Progress) }),
  'orchestrator.backends': v.object({ backends: v.array(Backend) }),
  'orchestrator.library': v.object({ versions: v.record(v.string(), v.number()) }),
  'orchestrator.telemetry': MachineList,
  'orchestrator.preview': v.object({
    job_id: v.string(),
    backend_id: v.string(),
    media_type: v.string(),
    image: v.string(),
  }),
} as const

export type EventType = keyof typeof SCHEMAS
export type EventData<T extends EventType> = v.InferOutput<(typeof SCHEMAS)[T]>

/**
 * Call back with each message of a type, checked. One that does not have the documented form is logged and dropped: the
 * routes are the truth, messages are news. Returns how to stop.
 */
export function onEvent<T extends EventType>(host: Host, type: T, listener: (data: EventData<T>) => void): () => void {
  return host.on(type, (detail) => {
    const parsed = v.safeParse(SCHEMAS[type], detail)
    if (parsed.success) listener(parsed.output as EventData<T>)
    else console.warn(`[Orchestrator] ${type} is not understood`, parsed.issues)
  })
}
