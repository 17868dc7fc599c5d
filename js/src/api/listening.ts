import type { Host } from '@/host/host'

import type { SystemApi, Wanted } from './system'

/** How much of its time a registration has left when it is renewed. */
const RENEW_AT_RATIO = 0.5
const RETRY_MS = 5_000

/** Keeps this tab registered for messages, under whatever id its socket has now. */
export interface Listening {
  /** Register now: at the start, and after the socket was lost. Rejects when the server refuses. */
  begin(): Promise<void>
  /** Say what a part of the page wants to be told; it replaces what the same part wanted before. Nothing: `null`. */
  want(part: string, wanted: Wanted | null): void
  end(): void
}

export function createListening(host: Host, system: SystemApi): Listening {
  const wants = new Map<string, Wanted>()
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The id it was last asked for, whether or not the server agreed: a refusal is retried by the clock alone. */
  let asked: string | null = null

  async function begin(): Promise<void> {
    clearTimeout(timer)
    const clientId = host.clientId()
    if (clientId === null) {
      renewIn(RETRY_MS)
      return
    }
    asked = clientId
    try {
      const { expires_in_s } = await system.listen(clientId, together([...wants.values()]))
      renewIn(expires_in_s * 1000 * RENEW_AT_RATIO)
    } catch (error) {
      renewIn(RETRY_MS)
      throw error
    }
  }

  function renewIn(ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(() => void renew(), ms)
  }

  function renew(): Promise<void> {
    return begin().catch(() => undefined) // a retry is scheduled; what is lost meanwhile is told by the connection
  }

  const stop = host.on('status', () => {
    // Each greeting of the server tells the socket's id, which may be another one after a reconnect.
    if (host.clientId() !== asked) void renew()
  })

  return {
    begin,
    want(part, wanted) {
      const before = JSON.stringify(together([...wants.values()]))
      if (wanted === null) wants.delete(part)
      else wants.set(part, wanted)
      // Before the start there is nothing to renew; what is wanted then goes with the first registration.
      if (asked !== null && JSON.stringify(together([...wants.values()])) !== before) void renew()
    },
    end() {
      stop()
      clearTimeout(timer)
      if (asked !== null) void system.stopListening(asked).catch(() => undefined)
    },
  }
}

function together(wants: readonly Wanted[]): Wanted {
  const jobs = [...new Set(wants.flatMap((wanted) => wanted.jobs ?? []))]
  return {
    ...(jobs.length > 0 ? { jobs } : {}),
    ...(wants.some(({ all }) => all) ? { all: true } : {}),
    ...(wants.some(({ telemetry }) => telemetry) ? { telemetry: true } : {}),
  }
}
