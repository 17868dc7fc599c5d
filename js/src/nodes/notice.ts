import type { Face } from './face'
import { defaultInputs, defaultOutputs, gone } from './face'
import type { NodeParameters } from './parameters'

/** What is the matter with a Remote Workflow node, and what one click can do about it. */
export type Notice =
  | { readonly kind: 'none' }
  /** No workflow is chosen: the library is empty. */
  | { readonly kind: 'empty' }
  /** The library does not have the workflow. */
  | { readonly kind: 'unknown'; readonly id: string; readonly embedded: boolean }
  /** The graph brought another workflow along than the library has under this id, which is what runs. */
  | { readonly kind: 'foreign'; readonly id: string }
  /** The parameters cannot be read; nothing runs. */
  | { readonly kind: 'unreadable' }
  /** The workflow no longer has what the node uses; nothing runs. */
  | { readonly kind: 'broken'; readonly gone: readonly string[] }
  /** The workflow takes or yields more than the node shows; everything runs as before. */
  | { readonly kind: 'newer'; readonly version: number }

export interface NodeState {
  readonly workflow: string
  /** null: unreadable. */
  readonly parameters: NodeParameters | null
  /** null: the server has not said what is in the library. */
  readonly faces: ReadonlyMap<string, Face> | null
  readonly embedded: boolean
  /** Whether what the graph brought along is another one than the library's. */
  readonly foreign: boolean
  /** Names of the inputs that something is connected to. */
  readonly connected: ReadonlySet<string>
}

export function noticeFor({ workflow, parameters, faces, embedded, foreign, connected }: NodeState): Notice {
  if (faces === null) return { kind: 'none' }
  if (workflow === '') return faces.size === 0 ? { kind: 'empty' } : { kind: 'none' }
  const face = faces.get(workflow)
  if (face === undefined) return { kind: 'unknown', id: workflow, embedded }
  if (foreign) return { kind: 'foreign', id: workflow }
  if (parameters === null) return { kind: 'unreadable' }
  const missing = gone(face, parameters, connected)
  if (missing.length > 0) return { kind: 'broken', gone: missing }
  return differs(face, parameters) ? { kind: 'newer', version: face.version } : { kind: 'none' }
}

/** Whether choosing the workflow anew would give the node other slots. */
export function differs(face: Face, { inputs, outputs }: NodeParameters): boolean {
  return (
    (inputs !== null && !sameNames(inputs, defaultInputs(face))) ||
    (outputs !== null && !sameNames(outputs, defaultOutputs(face)))
  )
}

function sameNames(names: readonly string[], meanings: readonly { readonly name: string }[]): boolean {
  const known = new Set(names)
  return names.length === meanings.length && meanings.every(({ name }) => known.has(name))
}
