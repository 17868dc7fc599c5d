import type { Http } from './http'
import { segment } from './http'
import { Done, Listening, Status } from './schemas/system'

/** Which previews a tab wants beside those of what it submitted itself. */
export interface WantedPreviews {
  readonly jobs?: readonly string[]
  readonly all?: boolean
}

export function systemApi(http: Http) {
  return {
    status: () => http.get(Status, '/status'),
    /** Have the server tell this tab what happens, for a while; replaces what it asked before. */
    listen: (clientId: string, wanted: WantedPreviews = {}) =>
      http.send(Listening, 'PUT', `/listeners/${segment(clientId)}`, wanted),
    stopListening: (clientId: string) =>
      http.send(Done, 'DELETE', `/listeners/${segment(clientId)}`, {}, { keepalive: true }),
  }
}

export type SystemApi = ReturnType<typeof systemApi>
