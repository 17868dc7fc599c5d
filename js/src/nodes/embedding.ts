import * as v from 'valibot'

import { messageOf } from '@/api/errors'
import { Imported } from '@/api/schemas/library'
import type { Context } from '@/context'
import { showDialog } from '@/ui/dialogs'

import { carriedIds, carriedText, titleIn, usedIds, withCarried, withTitle } from './carried'
import EmbeddedDialog from './EmbeddedDialog.vue'
import { changeExtra, graphTitle } from './graphExtra'
import type { Library } from './library'

const EMBED_DELAY_MS = 300

const Carried = v.object({ definitions: v.string(), ids: v.array(v.string()) })

const EmbeddedDefinition = v.object({
  id: v.string(),
  name: v.string(),
  description: v.string(),
  standing: v.picklist(['unknown', 'equal', 'differs']),
})

const EmbeddedList = v.object({ definitions: v.array(EmbeddedDefinition), missing: v.array(v.string()) })

export type EmbeddedDefinition = v.InferOutput<typeof EmbeddedDefinition>

interface RootGraph {
  extra?: Record<string, unknown>
  serialize(): unknown
}

/**
 * Lets graphs carry the definitions that they run, and offers to import those that a graph brought along.
 *
 * What a loaded graph carries is left alone until one of its nodes is given another workflow, because it may hold what
 * this library lacks.
 */
export interface Embedding {
  /** Nodes of the graph changed what they run, or what they run changed. */
  changed(): void
  /** A graph was loaded. */
  loaded(): void
  embeds(id: string): boolean
  importOne(id: string): void
  /** The graph is about to be run: say in it what it is called. */
  entitle(): void
}

export function createEmbedding(context: Context, library: Library): Embedding {
  const { client, host, t } = context
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The text written last, and what it was made of: only that may be replaced without being asked. */
  let written = ''
  let writtenFor = ''

  const root = () => host.rootGraph() as (RootGraph & Parameters<typeof usedIds>[0]) | null

  function write(graph: RootGraph, text: string): void {
    changeExtra(host, graph, (extra) => withCarried(extra, text))
    written = text
  }

  async function embed(): Promise<void> {
    const graph = root()
    const faces = library.faces()
    if (graph === null || faces === null) return
    const used = usedIds(graph)
    const there = carriedText(graph.extra)
    const known = used.filter((id) => faces.has(id))
    if (known.length < used.length && there !== '') return
    const wanted = known.map((id) => `${id} ${faces.get(id)?.content_hash ?? ''}`).join('\n')
    if (wanted === writtenFor && there === written) return
    try {
      const text = known.length === 0 ? '' : (await client.http.send(Carried, 'POST', '/definitions/embed', { ids: known })).definitions
      if (root() !== graph || carriedText(graph.extra) !== there) return
      if (text !== there) write(graph, text)
      written = text
      writtenFor = wanted
    } catch (error) {
      console.info('[Orchestrator] the graph cannot carry its workflows', error)
    }
  }

  function file(): { blob: Blob; query: { filename: string } } {
    const text = JSON.stringify(root()?.serialize() ?? {})
    return { blob: new Blob([text], { type: 'application/json' }), query: { filename: 'workflow.json' } }
  }

  async function take(ids: readonly string[]): Promise<void> {
    const { blob, query } = file()
    try {
      const taken = await client.http.upload(Imported, 'POST', '/definitions/embedded/import', blob, { query: { ...query, id: ids } })
      host.toast({ severity: 'success', summary: t('library.taken'), detail: taken.found, life: 4_000 })
      await library.reload()
    } catch (error) {
      host.toast({ severity: 'error', summary: t('nodes.importEmbedded'), detail: messageOf(error) })
    }
  }

  async function offer(): Promise<void> {
    const { blob, query } = file()
    const { definitions } = await client.http.upload(EmbeddedList, 'POST', '/definitions/embedded/read', blob, { query })
    const unknown = definitions.filter(({ standing }) => standing === 'unknown')
    if (unknown.length === 0) return
    const chosen = await showDialog<string[]>(context, EmbeddedDialog, { definitions: unknown })
    if (chosen !== null && chosen.length > 0) await take(chosen)
  }

  return {
    changed() {
      clearTimeout(timer)
      timer = setTimeout(() => void embed(), EMBED_DELAY_MS)
    },
    loaded() {
      const graph = root()
      if (graph === null) return
      const text = carriedText(graph.extra)
      const faces = library.faces()
      const brought = carriedIds(text)
      if (text === '' && usedIds(graph).length > 0) this.changed()
      else if (faces !== null && usedIds(graph).some((id) => !faces.has(id) && brought.has(id))) {
        void offer().catch((error: unknown) => {
          host.toast({ severity: 'error', summary: t('nodes.embeddedTitle'), detail: messageOf(error) })
        })
      }
    },
    embeds: (id) => carriedIds(carriedText(root()?.extra)).has(id),
    importOne: (id) => void take([id]),
    entitle() {
      const graph = root()
      const title = graphTitle(host)
      if (graph !== null && titleIn(graph.extra) !== title) changeExtra(host, graph, (extra) => withTitle(extra, title))
    },
  }
}
