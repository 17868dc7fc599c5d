import { shallowRef } from 'vue'

import type { Client } from '@/api/client'
import { onEvent } from '@/api/events'
import type { Host } from '@/host/host'

/** What workflows of the library are called. */
export interface Names {
  /** Of one that was deleted, or as long as the server has not told, its id. Reactive. */
  of(definitionId: string): string
  /** Id and name of each, by name. Reactive. */
  all(): readonly (readonly [string, string])[]
}

/** Asked for when the first name is wanted, and again whenever the library changes. */
export function createNames(host: Host, client: Client): Names {
  const names = shallowRef<ReadonlyMap<string, string>>(new Map())
  let wanted = false
  let asked = 0

  async function read(): Promise<void> {
    const mine = ++asked
    try {
      const found = await client.library.list()
      if (mine === asked) names.value = new Map(found.map(({ id, name }) => [id, name]))
    } catch (error) {
      console.info('[Orchestrator] names of workflows could not be read', error) // their ids are shown meanwhile
    }
  }

  function want(): ReadonlyMap<string, string> {
    if (!wanted) {
      wanted = true
      onEvent(host, 'orchestrator.library', () => void read())
      host.on('reconnected', () => void read())
      void read()
    }
    return names.value
  }

  return {
    of: (id) => want().get(id) ?? id,
    all: () => [...want()].sort(([, a], [, b]) => a.localeCompare(b)),
  }
}
