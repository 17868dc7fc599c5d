import { type Ref, ref, shallowRef, type ShallowRef } from 'vue'

import { messageOf } from '@/api/errors'
import type { Backend } from '@/api/schemas/backends'
import type { Context } from '@/context'

import { isWebAddress } from './address'

/** What can be done to a backend, from its card or its page. What fails is told in a toast. */
export interface BackendActions {
  /** Ids of backends on which something is under way. */
  readonly busy: Readonly<ShallowRef<ReadonlySet<string>>>
  /** Ids of backends that are removed unless the user takes it back. */
  readonly removing: Readonly<ShallowRef<ReadonlySet<string>>>
  /** The backend whose jobs the user is asked about before they are cancelled. */
  readonly interrupting: Ref<Backend | null>
  /** Whether the user looks at this server's own token. */
  readonly showingToken: Ref<boolean>
  probe(backend: Backend): Promise<void>
  setEnabled(backend: Backend, enabled: boolean): Promise<void>
  /** Give it no new jobs, or give it some again. */
  setDraining(backend: Backend, draining: boolean): Promise<void>
  free(backend: Backend): Promise<void>
  /** Cancel our jobs there, which the user has confirmed. */
  interrupt(backend: Backend): Promise<void>
  remove(backend: Backend): void
  open(backend: Backend): void
}

export function createActions({ client, store, host, t, undo }: Context): BackendActions {
  const busy = shallowRef<ReadonlySet<string>>(new Set())
  const removing = shallowRef<ReadonlySet<string>>(new Set())

  async function guarded(backend: Backend, work: () => Promise<void>): Promise<void> {
    if (busy.value.has(backend.id)) return
    busy.value = new Set([...busy.value, backend.id])
    try {
      await work()
    } catch (error) {
      tell(backend, error)
    } finally {
      busy.value = without(busy.value, backend.id)
    }
  }

  function tell(backend: Backend, error: unknown): void {
    host.toast({ severity: 'error', summary: backend.name, detail: messageOf(error) })
  }

  return {
    busy,
    removing,
    interrupting: ref(null),
    showingToken: ref(false),
    probe: (backend) =>
      guarded(backend, async () => {
        const probe = await client.backends.probe(backend.id)
        store.dispatch({ type: 'backendChanged', backend: probe.backend })
        if (probe.problem) host.toast({ severity: 'warn', summary: backend.name, detail: probe.problem.message, life: 8_000 })
      }),
    setEnabled: (backend, enabled) =>
      guarded(backend, async () => {
        store.dispatch({ type: 'backendChanged', backend: await client.backends.edit(backend.id, { enabled }) })
      }),
    setDraining: (backend, draining) =>
      guarded(backend, async () => {
        store.dispatch({ type: 'backendChanged', backend: await client.backends.drain(backend.id, draining) })
      }),
    free: (backend) =>
      guarded(backend, async () => {
        await client.backends.free(backend.id)
        host.toast({ severity: 'success', summary: backend.name, detail: t('backends.actions.freed'), life: 4_000 })
      }),
    interrupt: (backend) =>
      guarded(backend, async () => {
        const jobs = await client.backends.interrupt(backend.id)
        const detail = t.plural('backends.actions.interrupted', jobs.length)
        host.toast({ severity: 'info', summary: backend.name, detail, life: 4_000 })
      }),
    remove(backend) {
      removing.value = new Set([...removing.value, backend.id])
      const back = () => {
        removing.value = without(removing.value, backend.id)
      }
      undo.announce({
        text: t('backends.actions.removed', { name: backend.name }),
        takeBack: back,
        carryOut() {
          // Kept alive: the page may be closing.
          client.backends
            .remove(backend.id, { keepalive: true })
            .then(() => store.dispatch({ type: 'backendRemoved', id: backend.id }))
            .catch((error: unknown) => tell(backend, error))
            .finally(back)
        },
      })
    },
    open(backend) {
      if (isWebAddress(backend.base_url)) open(backend.base_url, '_blank', 'noopener,noreferrer')
    },
  }
}

function without(ids: ReadonlySet<string>, id: string): ReadonlySet<string> {
  return new Set([...ids].filter((one) => one !== id))
}
