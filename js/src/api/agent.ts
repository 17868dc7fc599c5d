import * as v from 'valibot'

import type { Http } from './http'

const Token = v.object({ token: v.nullable(v.string()) })

/** The token of this very server as a backend of others. Answered only to a browser on its own machine. */
export function agentApi(http: Http) {
  return {
    token: () => http.send(Token, 'POST', '/agent/token'),
    rotateToken: () => http.send(Token, 'POST', '/agent/token/rotate'),
    revokeToken: () => http.send(Token, 'DELETE', '/agent/token'),
  }
}
