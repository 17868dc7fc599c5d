import type { FaceParameter } from './face'
import type { Json } from './parameters'

/** What ComfyUI is asked for, to make the widget of a parameter: a kind, its specification as nodes declare it. */
export interface WidgetSpec {
  readonly kind: 'INT' | 'FLOAT' | 'STRING' | 'BOOLEAN' | 'COMBO'
  readonly spec: readonly [unknown, Readonly<Record<string, unknown>>]
  readonly value: Json
  /** Whether a second widget says what becomes of the value after each run. */
  readonly controlled: boolean
}

/** Dynamic widgets have names of their own, so that a parameter may be called like one of the node's own widgets. */
export const PREFIX = 'parameters.'
export const CONTROL_PREFIX = 'control.'

/** As far as numbers of this language are exact; the server's own seeds go further. */
const LARGEST = Number.MAX_SAFE_INTEGER

/**
 * Return how the widget of a parameter is made, or null where its type has none.
 *
 * @param value the constant the node has for it; undefined: none.
 * @param offered what the backends offer now; empty where that is not known.
 */
export function widgetSpec(
  parameter: FaceParameter,
  value: Json | undefined,
  offered: readonly Json[] = [],
): WidgetSpec | null {
  const { minimum, maximum, step, tooltip, multiline, role } = parameter
  const said = value ?? parameter.default
  switch (parameter.type) {
    case 'INT': {
      const least = Math.max(minimum ?? (role === 'seed' ? 0 : -LARGEST), -LARGEST)
      const most = Math.min(maximum ?? LARGEST, LARGEST)
      const start = isNumber(said) ? Number(said) : clamp(0, least, most)
      // What is there already is in range: fields pull in what is not, when they are only looked into.
      const [min, max] = [Math.min(least, start), Math.max(most, start)]
      const control = role === 'seed' ? { control_after_generate: CONTROL_PREFIX + parameter.name } : {}
      const options = { default: start, min, max, step: step ?? 1, tooltip, ...control }
      return { kind: 'INT', spec: ['INT', options], value: start, controlled: role === 'seed' }
    }
    case 'FLOAT': {
      const min = minimum ?? -LARGEST
      const max = maximum ?? LARGEST
      const start = isNumber(said) ? Number(said) : clamp(0, min, max)
      const options = { default: start, min, max, step: step ?? 0.01, tooltip }
      return { kind: 'FLOAT', spec: ['FLOAT', options], value: start, controlled: false }
    }
    case 'STRING': {
      const start = typeof said === 'string' ? said : ''
      return { kind: 'STRING', spec: ['STRING', { default: start, multiline, tooltip }], value: start, controlled: false }
    }
    case 'BOOLEAN': {
      const start = said === true
      return { kind: 'BOOLEAN', spec: ['BOOLEAN', { default: start, tooltip }], value: start, controlled: false }
    }
    case 'COMBO': {
      const values = choices(parameter, said, offered)
      const start = said ?? values[0] ?? ''
      return { kind: 'COMBO', spec: [values, { default: start, tooltip }], value: start, controlled: false }
    }
    case 'IMAGE':
    case 'MASK':
    case 'AUDIO':
    case 'LATENT':
    case 'VIDEO': {
      // The name of a file in ComfyUI's input folder; none: what the workflow itself names, or what is connected.
      const start = typeof value === 'string' ? value : ''
      const values = ['', ...offered.filter((name) => name !== '')]
      const listed = values.includes(start) ? values : [...values, start]
      return { kind: 'COMBO', spec: [listed, { default: start, tooltip }], value: start, controlled: false }
    }
    default:
      return null
  }
}

/** The list of a combo: what is offered, else what was recorded, and always the value it has. */
export function choices({ choices: recorded }: FaceParameter, said: Json | undefined, offered: readonly Json[]): Json[] {
  const listed = offered.length > 0 ? offered : (recorded ?? [])
  return said === undefined || said === null || listed.includes(said) ? [...listed] : [said, ...listed]
}

function isNumber(value: Json | undefined): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value))
}
