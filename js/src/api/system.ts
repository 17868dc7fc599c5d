import type { Http } from './http'
import { segment } from './http'
import { Done, Listening, Status } from './schemas/system'

/** What a tab wants to be told beside changes and progress. */
export interface Wanted {
  /** Previews of these jobs, by id; those of what the tab submitted itself come in any case. */
  readonly jobs?: readonly string[]
  /** Previews of every job. */
  readonly all?: boolean
  /** What the backends' machines do, each second. */
  readonly telemetry?: boolean
}

export function systemApi(http: Http) {
  return {
    status: () => http.get(Status, '/status'),
    /** Have the server tell this tab what happens, for a while; replaces what it asked before. */
    listen: (clientId: string, wanted: Wanted = {}) =>
      http.send(Listening, 'PUT', `/listeners/${segment(clientId)}`, wanted),
    stopListening: (clientId: string) =>
      http.send(Done, 'DELETE', `/listeners/${segment(clientId)}`, {}, { keepalive: true }),
  }
}

export type SystemApi = ReturnType<typeof systemApi>
