import { computed, type ComputedRef, ref, type Ref, shallowRef, type ShallowRef } from 'vue'

import { messageOf } from '@/api/errors'
import { onEvent } from '@/api/events'
import type { DefinitionSummary } from '@/api/schemas/library'
import type { Context } from '@/context'

const PICTURE_MS = 2_500

/** The library as the view shows it. */
export interface LibraryList {
  /** Null until the server has answered. */
  readonly definitions: Readonly<ShallowRef<readonly DefinitionSummary[] | null>>
  readonly thumbnails: Readonly<ShallowRef<Readonly<Record<string, string>>>>
  /** Why the list could not be read, or empty. */
  readonly problem: Readonly<Ref<string>>
  readonly search: Ref<string>
  /** The tag that is shown alone, or null. */
  readonly tag: Ref<string | null>
  readonly tags: ComputedRef<readonly string[]>
  readonly found: ComputedRef<readonly DefinitionSummary[]>
  /** Deleted here, and not yet on the server: they can be taken back. */
  readonly hidden: ShallowRef<ReadonlySet<string>>
  reload(): Promise<void>
  /** Stop following the server. */
  stop(): void
}

export function createLibraryList({ host, client }: Pick<Context, 'host' | 'client'>): LibraryList {
  const definitions = shallowRef<readonly DefinitionSummary[] | null>(null)
  const thumbnails = shallowRef<Readonly<Record<string, string>>>({})
  const problem = ref('')
  const search = ref('')
  const tag = ref<string | null>(null)
  const hidden = shallowRef<ReadonlySet<string>>(new Set())
  let asked = 0

  const visible = computed(() => (definitions.value ?? []).filter(({ id }) => !hidden.value.has(id)))
  const tags = computed(() => [...new Set(visible.value.flatMap((one) => one.tags))].sort((a, b) => a.localeCompare(b)))
  const found = computed(() => {
    const words = search.value.toLowerCase().split(/\s+/u).filter(Boolean)
    return visible.value.filter((one) => {
      if (tag.value !== null && !one.tags.includes(tag.value)) return false
      const text = `${one.id} ${one.name} ${one.description} ${one.tags.join(' ')}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
  })

  let pictures: ReturnType<typeof setTimeout> | undefined

  async function reloadPictures(): Promise<void> {
    const found = await client.library.thumbnails()
    thumbnails.value = Object.fromEntries(Object.entries(found).map(([id, { url }]) => [id, host.api.apiURL(url)]))
  }

  /** A result may have become a picture: the server makes them a little later, at most one a second. */
  function expectPictures(): void {
    clearTimeout(pictures)
    pictures = setTimeout(() => void reloadPictures().catch((error: unknown) => console.info('[Orchestrator]', error)), PICTURE_MS)
  }

  async function reload(): Promise<void> {
    const number = ++asked
    try {
      const [listed] = await Promise.all([client.library.list(), reloadPictures()])
      if (number !== asked) return
      definitions.value = listed
      problem.value = ''
      if (tag.value !== null && !tags.value.includes(tag.value)) tag.value = null
    } catch (error) {
      if (number === asked) problem.value = messageOf(error)
    }
  }

  const stops = [
    onEvent(host, 'orchestrator.library', () => void reload()),
    onEvent(host, 'orchestrator.jobs', ({ changes }) => {
      if (changes.some(({ job }) => job.status === 'succeeded')) expectPictures()
    }),
    host.on('reconnected', () => void reload()),
  ]
  void reload()

  return {
    definitions,
    thumbnails,
    problem,
    search,
    tag,
    tags,
    found,
    hidden,
    reload,
    stop() {
      asked++
      clearTimeout(pictures)
      for (const stop of stops) stop()
    },
  }
}
