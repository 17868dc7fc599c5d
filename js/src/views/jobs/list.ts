import { computed, type ComputedRef, ref, type Ref, shallowRef, type ShallowRef, watch } from 'vue'

import type { Client } from '@/api/client'
import { messageOf } from '@/api/errors'
import type { JobSummary, ListedJob } from '@/api/schemas/jobs'
import type { JobRecord, State } from '@/state/state'

import { fits, inOrder, type JobFilterState, NO_FILTER, STATUSES } from './filter'

/** One row: a job, and the backend that has or had it as far as this page knows. */
export interface JobRow {
  readonly job: JobSummary
  readonly backendId: string | null
}

export interface JobListing {
  readonly filter: ShallowRef<JobFilterState>
  readonly rows: ComputedRef<readonly JobRow[]>
  /** Whether the first page is on its way. */
  readonly loading: Readonly<Ref<boolean>>
  readonly problem: Readonly<Ref<string>>
  /** Whether the server has more. */
  readonly more: ComputedRef<boolean>
  loadMore(): Promise<void>
  reload(): Promise<void>
}

const PAGE = 200
const SEARCH_DELAY_MS = 250

/**
 * The list of jobs: what is under way comes from the store and is live, the past from the server, page by page. What both
 * know is shown as the store has it.
 */
export function createJobListing(client: Client, state: Readonly<ShallowRef<State>>): JobListing {
  const filter = shallowRef(NO_FILTER)
  const paged = shallowRef<readonly ListedJob[]>([])
  const next = ref<number | null>(null)
  const loading = ref(false)
  const problem = ref('')
  let asked = 0
  let busy = false

  /** Whether the page came and still counts. */
  async function load(cursor: number | null): Promise<boolean> {
    const number = ++asked
    const { group, search, definition, backend, run } = filter.value
    try {
      const query = { status: STATUSES[group], search, definition, backend, run, limit: PAGE, cursor }
      const page = await client.jobs.list(query)
      if (number !== asked) return false
      paged.value = cursor === null ? page.jobs : [...paged.value, ...page.jobs]
      next.value = page.next
      problem.value = ''
      return true
    } catch (error) {
      if (number === asked) problem.value = messageOf(error)
      return false
    }
  }

  async function reload(): Promise<void> {
    loading.value = true
    await load(null)
    loading.value = false
  }

  async function loadMore(): Promise<void> {
    if (busy || next.value === null) return
    busy = true
    const before = rows.value.length
    // A page may hold nothing but what messages told already, and a list that does not grow asks for no other.
    while (next.value !== null && rows.value.length <= before && (await load(next.value)));
    busy = false
  }

  let timer: ReturnType<typeof setTimeout> | undefined
  watch(filter, (now, before) => {
    clearTimeout(timer)
    timer = setTimeout(() => void reload(), now.search === before.search ? 0 : SEARCH_DELAY_MS)
  })
  // What was paged in before a gap in the messages may be old.
  watch(() => state.value.epoch, () => void reload(), { immediate: true })

  // Progress changes the state many times a second and the table of jobs seldom: only the table counts.
  const jobs = computed(() => state.value.jobs)
  const rows = computed(() => merged(jobs.value, paged.value, filter.value))

  return { filter, rows, loading, problem, more: computed(() => next.value !== null), loadMore, reload }
}

function merged(
  live: ReadonlyMap<string, JobRecord>,
  paged: readonly ListedJob[],
  filter: JobFilterState,
): readonly JobRow[] {
  const rows: JobRow[] = []
  const before = new Map(paged.map((job) => [job.id, job.backend_id]))
  for (const { job, attempt } of live.values()) {
    const backendId = attempt?.backend_id ?? before.get(job.id) ?? null
    if (fits(job, backendId, filter)) rows.push({ job, backendId })
  }
  for (const job of paged) if (!live.has(job.id)) rows.push({ job, backendId: job.backend_id })
  return rows.sort((a, b) => inOrder(a.job, b.job))
}
