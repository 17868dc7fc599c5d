import type { Backend } from '@/api/schemas/backends'
import type { JobChange, JobStatus, JobSummary, Progress } from '@/api/schemas/jobs'

/** Things as the server tells them, with whatever a test does not care about filled in. */

export function backend(id: string, parts: Partial<Backend> = {}): Backend {
  return {
    id,
    name: id,
    status: 'online',
    since: 0,
    latency_s: 0.002,
    last_error: '',
    last_seen_at: 0,
    suspended_until: null,
    draining: false,
    queue_remaining: 0,
    in_flight: 0,
    base_url: `http://${id}:8188`,
    local: false,
    enabled: true,
    tags: [],
    notes: '',
    tls: { verify: true, ca_file: null },
    credentials: { has_bearer_token: false, username: null, has_password: false, header_names: [], has_agent_token: false },
    created_at: 0,
    capabilities: null,
    ...parts,
  }
}

export function job(id: string, status: JobStatus = 'queued', parts: Partial<JobSummary> = {}): JobSummary {
  return {
    id,
    run_id: id,
    definition: 'upscale',
    version: 1,
    status,
    node_id: null,
    item_index: 0,
    priority: 0,
    queued_at: null,
    created_at: 0,
    ended_at: null,
    failure: null,
    ...parts,
  }
}

export function change(id: string, status: JobStatus, backendId?: string): JobChange {
  const attempt =
    backendId === undefined ? undefined : { id: `${id}-1`, number: 1, backend_id: backendId, status: 'running', failure: null }
  return { kind: 'changed', job: job(id, status), attempt }
}

export function progress(jobId: string, backendId: string, ratio: number): Progress {
  return { job_id: jobId, backend_id: backendId, done_ratio: ratio, node_id: null, class_type: null, loading_s: null, loading_since: null, fetching_since: null }
}
