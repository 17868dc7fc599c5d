import * as v from 'valibot'

import { messageOf } from '@/api/errors'
import { Imported } from '@/api/schemas/library'
import type { Context } from '@/context'
import { showDialog } from '@/ui/dialogs'

import { carriedIds, carriedText, titleIn, usedIds, withCarried, withTitle } from './carried'
import EmbeddedDialog from './EmbeddedDialog.vue'
import { foreignAmong, type Resolution } from './foreign'
import { changeExtra, graphTitle } from './graphExtra'
import type { Library } from './library'

const EMBED_DELAY_MS = 300

const Carried = v.object({ definitions: v.string(), ids: v.array(v.string()) })

const EmbeddedDefinition = v.object({
  id: v.string(),
  name: v.string(),
  description: v.string(),
  standing: v.picklist(['unknown', 'equal', 'differs']),
  content_hash: v.string(),
  /** The id under which the library has the same content. */
  same_as: v.nullable(v.string()),
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
  /** Whether the graph brought another workflow along than the library has under this id. */
  foreign(id: string): boolean
  /** Say which of the two counts; nodes are switched to another id where it is a copy. */
  resolve(id: string, resolution: Resolution): void
  /** The graph is about to be run: say in it what it is called. */
  entitle(): void
}

export interface Nodes {
  /** What there is to tell of them may have changed. */
  refresh(): void
  /** Have those that run one workflow run another. */
  switchTo(from: string, to: string): void
}

export function createEmbedding(context: Context, library: Library, nodes: Nodes): Embedding {
  const { client, host, t } = context
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The text written last, and what it was made of: only that may be replaced without being asked. */
  let written = ''
  let writtenFor = ''
  /** What the graph brought along of others; as long as it is not known or decided, it is left alone. */
  let foreign: ReadonlyMap<string, string | null> = new Map()
  let comparing = 0

  const root = () => host.rootGraph() as (RootGraph & Parameters<typeof usedIds>[0]) | null

  function write(graph: RootGraph, text: string): void {
    changeExtra(host, graph, (extra) => withCarried(extra, text))
    written = text
  }

  async function embed(): Promise<void> {
    const graph = root()
    const faces = library.faces()
    if (graph === null || faces === null || foreign.size > 0 || comparing > 0) return
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

  /** Ask how the library stands to what the graph brought along: offer what it lacks, mark what is another here. */
  async function compare(): Promise<void> {
    const graph = root()
    const { blob, query } = file()
    comparing++
    let found: Awaited<ReturnType<typeof read>>
    try {
      found = await read(blob, query)
    } finally {
      comparing--
    }
    if (graph === null || root() !== graph) return
    foreign = found.foreign
    nodes.refresh()
    await offer(found.definitions)
  }

  async function read(blob: Blob, query: { filename: string }) {
    const { definitions } = await client.http.upload(EmbeddedList, 'POST', '/definitions/embedded/read', blob, { query })
    return { definitions, foreign: await foreignAmong(client.library, definitions, usedIds(root() ?? {})) }
  }

  /** Put what the graph brought along under an id into the library, and return the id that it has there. */
  async function takeForeign(id: string, resolution: Exclude<Resolution, 'mine'>): Promise<string> {
    const same = foreign.get(id)
    if (resolution === 'copy' && typeof same === 'string') return same
    const { blob, query } = file()
    const on_conflict = resolution === 'copy' ? 'new_id' : 'new_version'
    const options = { query: { ...query, id: [id], on_conflict } }
    const { imported } = await client.http.upload(Imported, 'POST', '/definitions/embedded/import', blob, options)
    await library.reload()
    return imported.find(({ id_in_file }) => id_in_file === id)?.definition.id ?? id
  }

  async function resolve(id: string, resolution: Resolution): Promise<void> {
    try {
      const here = resolution === 'mine' ? id : await takeForeign(id, resolution)
      foreign = new Map([...foreign].filter(([one]) => one !== id))
      if (here !== id) nodes.switchTo(id, here)
    } catch (error) {
      host.toast({ severity: 'error', summary: t('nodes.foreignRefused'), detail: messageOf(error) })
    }
    nodes.refresh()
    embedding.changed()
  }

  async function offer(definitions: readonly EmbeddedDefinition[]): Promise<void> {
    const unknown = definitions.filter(({ standing }) => standing === 'unknown')
    if (unknown.length === 0) return
    const chosen = await showDialog<string[]>(context, EmbeddedDialog, { definitions: unknown })
    if (chosen !== null && chosen.length > 0) await take(chosen)
  }

  const embedding: Embedding = {
    changed() {
      clearTimeout(timer)
      timer = setTimeout(() => void embed(), EMBED_DELAY_MS)
    },
    loaded() {
      const graph = root()
      foreign = new Map()
      if (graph === null) return
      const text = carriedText(graph.extra)
      const faces = library.faces()
      const brought = carriedIds(text)
      if (text === '' && usedIds(graph).length > 0) this.changed()
      // What we wrote ourselves comes back with every undo, and is nobody else's.
      else if (text !== written && faces !== null && usedIds(graph).some((id) => brought.has(id))) {
        void compare().catch((error: unknown) => {
          host.toast({ severity: 'error', summary: t('nodes.embeddedTitle'), detail: messageOf(error) })
        })
      }
    },
    embeds: (id) => carriedIds(carriedText(root()?.extra)).has(id),
    importOne: (id) => void take([id]),
    foreign: (id) => foreign.has(id),
    resolve: (id, resolution) => void resolve(id, resolution),
    entitle() {
      const graph = root()
      const title = graphTitle(host)
      if (graph !== null && titleIn(graph.extra) !== title) changeExtra(host, graph, (extra) => withTitle(extra, title))
    },
  }
  return embedding
}
