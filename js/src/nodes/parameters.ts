/**
 * The text of a Remote Workflow node's `parameters` widget, as docs/remote-workflow.md describes it. It is all that the
 * server reads of the node's own inputs and outputs, so graphs work where this bundle is missing.
 */

import { parseExact, printExact } from '@/api/exactJson'

/** A `bigint` is a whole number beyond 2^53, which no widget holds exactly. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | { readonly [key: string]: Json }

export interface NodeParameters {
  /** The version of the workflow that the node was made for; null where the text does not say. */
  readonly version: number | null
  /** Constants by the name of the parameter. */
  readonly values: Readonly<Record<string, Json>>
  /** What in_1, in_2, … are; null: the workflow's own order. */
  readonly inputs: readonly string[] | null
  /** What out_1, out_2, … are; null: the workflow's own order. */
  readonly outputs: readonly string[] | null
}

export const NOTHING_SAID: NodeParameters = { version: null, values: {}, inputs: null, outputs: null }

/** Return what the text says, or null where it cannot be understood: then it must be left as it is. */
export function parseParameters(text: unknown): NodeParameters | null {
  if (typeof text !== 'string') return null
  if (text.trim() === '') return NOTHING_SAID
  let data: unknown
  try {
    data = parseExact(text)
  } catch {
    return null
  }
  if (!isObject(data)) return null
  const version = data['version'] ?? null
  const values = data['values'] ?? {}
  const inputs = names(data['in'])
  const outputs = names(data['out'])
  if ((version !== null && typeof version !== 'number') || !isObject(values)) return null
  if (inputs === undefined || outputs === undefined) return null
  return { version, values: values as Record<string, Json>, inputs, outputs }
}

/** Return the text for the widget. What is not said is left out, so that equal parameters give equal texts. */
export function printParameters({ version, values, inputs, outputs }: NodeParameters): string {
  return printExact({
    ...(version === null ? {} : { version }),
    ...(Object.keys(values).length === 0 ? {} : { values }),
    ...(inputs === null ? {} : { in: inputs }),
    ...(outputs === null ? {} : { out: outputs }),
  })
}

export function equalJson(one: unknown, other: unknown): boolean {
  return one === other || printExact(one) === printExact(other)
}

function names(value: unknown): readonly string[] | null | undefined {
  if (value === undefined || value === null) return null
  return Array.isArray(value) && value.every((name) => typeof name === 'string') ? (value as string[]) : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
