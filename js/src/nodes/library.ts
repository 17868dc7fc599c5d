import * as v from 'valibot'

import { onEvent } from '@/api/events'
import { segment } from '@/api/http'
import type { Context } from '@/context'

import type { Face } from './face'
import type { Json } from './parameters'

const FaceParameterSchema = v.object({
  name: v.string(),
  type: v.string(),
  default: v.any(),
  required: v.boolean(),
  minimum: v.nullable(v.number()),
  maximum: v.nullable(v.number()),
  step: v.nullable(v.number()),
  choices: v.nullable(v.array(v.any())),
  multiline: v.boolean(),
  tooltip: v.string(),
  role: v.string(),
})

export const FaceSchema = v.object({
  id: v.string(),
  version: v.number(),
  name: v.string(),
  description: v.string(),
  content_hash: v.string(),
  parameters: v.array(FaceParameterSchema),
  outputs: v.array(v.object({ name: v.string(), type: v.string() })),
})

const FaceList = v.object({ definitions: v.array(FaceSchema) })

const Choices = v.object({
  version: v.number(),
  choices: v.record(v.string(), v.array(v.object({ value: v.any(), backends: v.array(v.string()) }))),
})

/** What nodes must know of the server's library: the faces of its workflows, and what can be chosen for them. */
export interface Library {
  /** By id, by name; null as long as the server has not said. */
  faces(): ReadonlyMap<string, Face> | null
  /** What the backends offer for each parameter that is chosen from a list; asked for when it is first wanted. */
  offered(id: string): Readonly<Record<string, readonly Json[]>>
  /** What was offered may be out of date: ask again when it is next wanted. */
  forgetOffers(): void
  /** Ask again. Never rejects: the last answer stays. */
  reload(): Promise<void>
  /** Be told after each change. Returns how to stop. */
  subscribe(listener: () => void): () => void
}

export function createLibrary({ host, client: { http } }: Pick<Context, 'host' | 'client'>): Library {
  let faces: ReadonlyMap<string, Face> | null = null
  let asked = 0
  /** By id; of each only the newest answer, and the version it is for. */
  const offers = new Map<string, { version: number; choices: Record<string, readonly Json[]> }>()
  const listeners = new Set<() => void>()

  function tell(): void {
    for (const listener of [...listeners]) listener()
  }

  async function reload(): Promise<void> {
    const number = ++asked
    try {
      const { definitions } = await http.get(FaceList, '/definitions')
      if (number !== asked) return
      faces = new Map(definitions.map((face) => [face.id, face]))
      tell()
    } catch (error) {
      console.info('[Orchestrator] the library could not be read', error)
    }
  }

  async function ask(face: Face): Promise<void> {
    offers.set(face.id, { version: face.version, choices: offers.get(face.id)?.choices ?? {} })
    try {
      const { choices } = await http.get(Choices, `/definitions/${segment(face.id)}/choices`)
      const values = Object.entries(choices).map(([name, list]) => [name, list.map(({ value }) => value as Json)] as const)
      offers.set(face.id, { version: face.version, choices: Object.fromEntries(values) })
      tell()
    } catch (error) {
      // The recorded choices do meanwhile; the next change of library or farm asks again.
      console.info('[Orchestrator] choices could not be read', error)
    }
  }

  onEvent(host, 'orchestrator.library', () => void reload())
  host.on('reconnected', () => void reload())

  return {
    faces: () => faces,
    offered(id) {
      const face = faces?.get(id)
      const known = offers.get(id)
      if (face && known?.version !== face.version && face.parameters.some(({ type }) => type === 'COMBO')) void ask(face)
      return known?.choices ?? {}
    },
    forgetOffers() {
      for (const [id, { choices }] of offers) offers.set(id, { version: 0, choices })
    },
    async reload() {
      offers.clear()
      await reload()
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
