import { computed, type ComputedRef, ref, type Ref, shallowRef, type ShallowRef, watch } from 'vue'

import type { Client } from '@/api/client'
import { messageOf } from '@/api/errors'
import type { RunSummary } from '@/api/schemas/runs'
import type { State } from '@/state/state'

export interface RunListing {
  readonly runs: Readonly<ShallowRef<readonly RunSummary[]>>
  readonly loading: Readonly<Ref<boolean>>
  readonly problem: Readonly<Ref<string>>
  readonly more: ComputedRef<boolean>
  loadMore(): Promise<void>
  reload(): Promise<void>
}

const PAGE = 50
const PERIOD_MS = 1_500

/**
 * The runs, newest first. No message tells of runs themselves: the newest page is asked for again when a job changed,
 * and while one of them runs, but only as long as somebody looks and not more than once in a while.
 */
export function createRunListing(
  client: Client,
  state: Readonly<ShallowRef<State>>,
  visible: Readonly<Ref<boolean>>,
): RunListing & { stop(): void } {
  const runs = shallowRef<readonly RunSummary[]>([])
  const full = ref(false)
  const loading = ref(true)
  const problem = ref('')
  let timer: ReturnType<typeof setTimeout> | undefined
  let asked = 0
  let stale = true

  async function reload(): Promise<void> {
    const mine = ++asked
    stale = false
    try {
      const first = await client.runs.list(PAGE, 0)
      if (mine !== asked) return
      const known = new Set(first.map(({ id }) => id))
      full.value ||= first.length === PAGE && runs.value.length === 0
      runs.value = [...first, ...runs.value.slice(0).filter(({ id }) => !known.has(id))]
      problem.value = ''
    } catch (error) {
      if (mine === asked) problem.value = messageOf(error)
    }
    loading.value = false
  }

  async function loadMore(): Promise<void> {
    if (!full.value) return
    full.value = false
    const page = await client.runs.list(PAGE, runs.value.length).catch((error: unknown) => {
      problem.value = messageOf(error)
      return []
    })
    const known = new Set(runs.value.map(({ id }) => id))
    runs.value = [...runs.value, ...page.filter(({ id }) => !known.has(id))]
    full.value = page.length === PAGE
  }

  function tick(): void {
    clearTimeout(timer)
    if (!visible.value) return
    if (stale || runs.value.some(({ status }) => status === 'running')) void reload()
    timer = setTimeout(tick, PERIOD_MS)
  }

  const stops = [
    watch([() => state.value.jobs, () => state.value.epoch], () => {
      stale = true
    }),
    watch(visible, tick, { immediate: true }),
  ]
  return {
    runs,
    loading,
    problem,
    more: computed(() => full.value),
    loadMore,
    reload,
    stop() {
      clearTimeout(timer)
      for (const stop of stops) stop()
    },
  }
}
