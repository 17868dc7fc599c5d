import { FILE_TYPES, isStored } from '@/api/valueTypes'

import type { Meaning } from './slots'
import type { Json, NodeParameters } from './parameters'

/** What a workflow of the library looks like from outside: what it takes and what it yields. */
export interface Face {
  readonly id: string
  readonly version: number
  readonly name: string
  readonly description?: string
  readonly content_hash: string
  readonly parameters: readonly FaceParameter[]
  readonly outputs: readonly Meaning[]
}

export interface FaceParameter extends Meaning {
  readonly default: Json
  readonly required: boolean
  readonly minimum: number | null
  readonly maximum: number | null
  readonly step: number | null
  readonly choices: readonly Json[] | null
  readonly multiline: boolean
  readonly tooltip: string
  readonly role: string
}

/** How many inputs and outputs the server declares for the node. */
export const SLOTS = 16

/** What in_1, in_2, … are in the workflow's own order: images and the like first, as the server has it. */
export function defaultInputs(face: Face): readonly FaceParameter[] {
  const files = face.parameters.filter(({ type }) => isStored(type))
  const others = face.parameters.filter(({ type }) => !isStored(type))
  return [...files, ...others].slice(0, SLOTS)
}

export function defaultOutputs(face: Face): readonly Meaning[] {
  return face.outputs.slice(0, SLOTS)
}

/** Return the names that the node uses and the workflow no longer has. Nothing runs as long as there are some. */
export function gone(face: Face, parameters: NodeParameters, connected: ReadonlySet<string>): readonly string[] {
  const known = new Set(face.parameters.map(({ name }) => name))
  const yielded = new Set(face.outputs.map(({ name }) => name))
  const inputs = [...(parameters.inputs ?? []), ...Object.keys(parameters.values), ...connected]
  return [
    ...new Set([
      ...inputs.filter((name) => !known.has(name)),
      ...(parameters.outputs ?? []).filter((name) => !yielded.has(name)),
    ]),
  ]
}

/** Return the constants that still fit the workflow: by name, where the type takes them. */
export function fittingValues(face: Face, values: Readonly<Record<string, Json>>): Record<string, Json> {
  const kept: Record<string, Json> = {}
  for (const parameter of face.parameters) {
    const value = values[parameter.name]
    if (value !== undefined && takes(parameter, value)) kept[parameter.name] = value
  }
  return kept
}

function takes({ type, minimum, maximum, choices, role }: FaceParameter, value: Json): boolean {
  switch (type) {
    case 'STRING':
      return typeof value === 'string'
    case 'BOOLEAN':
      return typeof value === 'boolean'
    case 'INT':
    case 'FLOAT':
      return (
        (typeof value === 'bigint' || (typeof value === 'number' && (type === 'FLOAT' || Number.isInteger(value)))) &&
        (minimum === null || value >= minimum) &&
        (maximum === null || value <= maximum)
      )
    case 'COMBO':
      // Which model files exist is for each backend to say, not for the list that was recorded.
      return choices === null || choices.length === 0 || role === 'model' || choices.includes(value)
    default:
      // Of what is stored only the name of a file can be said.
      return isStored(type) ? FILE_TYPES.has(type) && typeof value === 'string' : true
  }
}
