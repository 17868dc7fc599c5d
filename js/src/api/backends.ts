import type { Http, SendOptions } from './http'
import { segment } from './http'
import { Backend, BackendList, CancelledJobs, Models, NodeClasses, Probe, Trial } from './schemas/backends'
import { BackendAttempts, BackendEvents } from './schemas/history'
import { Done } from './schemas/system'

/** What the user says of a backend. Credentials are written and never read back; left out they stay as they are. */
export interface BackendDraft {
  readonly name: string
  readonly base_url: string
  readonly enabled?: boolean
  readonly tags?: readonly string[]
  readonly notes?: string
  readonly tls?: { readonly verify: boolean; readonly ca_file: string | null }
  readonly credentials?: CredentialsDraft
}

export interface CredentialsDraft {
  readonly bearer_token?: string
  readonly username?: string
  readonly password?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Of this pack on that server. */
  readonly agent_token?: string
}

export function backendsApi(http: Http) {
  const at = (id: string, rest = '') => `/backends/${segment(id)}${rest}`
  return {
    list: async () => (await http.get(BackendList, '/backends')).backends,
    /** Try a server without storing anything. */
    test: (draft: BackendDraft, options?: SendOptions) => http.send(Trial, 'POST', '/backends/test', draft, options),
    add: (draft: BackendDraft) => http.send(Backend, 'POST', '/backends', draft),
    edit: (id: string, changes: Partial<BackendDraft>) => http.send(Backend, 'PATCH', at(id), changes),
    remove: (id: string, options?: SendOptions) => http.send(Done, 'DELETE', at(id), {}, options),
    probe: (id: string) => http.send(Probe, 'POST', at(id, '/probe')),
    /** Give it no new jobs, or give it some again; those it has go on. */
    drain: (id: string, draining: boolean) => http.send(Backend, 'POST', at(id, draining ? '/drain' : '/resume')),
    free: (id: string) => http.send(Done, 'POST', at(id, '/free')),
    /** Cancel the jobs of ours that it has; prompts of others are never touched. */
    interrupt: async (id: string) => (await http.send(CancelledJobs, 'POST', at(id, '/interrupt'))).job_ids,
    nodeClasses: async (id: string, options?: SendOptions) =>
      (await http.get(NodeClasses, at(id, '/node-classes'), {}, options)).node_classes,
    /** What it did for us between two moments, the newest first. */
    attempts: async (id: string, span: { since?: number; until?: number; limit?: number } = {}, options?: SendOptions) =>
      (await http.get(BackendAttempts, at(id, '/attempts'), span, options)).attempts,
    /** What happened to it, the newest first. */
    events: async (id: string, options?: SendOptions) => (await http.get(BackendEvents, at(id, '/events'), {}, options)).events,
    models: async (id: string, options?: SendOptions) => (await http.get(Models, at(id, '/models'), {}, options)).models,
  }
}

export type BackendsApi = ReturnType<typeof backendsApi>
