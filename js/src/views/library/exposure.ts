import type { Inspection, Output, Parameter } from '@/api/schemas/library'

/** One input that can be exposed, and what the user decided about it. */
export interface ParameterRow {
  readonly key: string
  readonly parameter: Parameter
  readonly exposed: boolean
  readonly name: string
}

/** One output that can be exposed. */
export interface OutputRow {
  readonly key: string
  readonly output: Output
  readonly exposed: boolean
  readonly name: string
}

export interface Exposure {
  /** Those that are exposed come first, in the order of the node's slots and widgets. */
  readonly parameters: readonly ParameterRow[]
  readonly outputs: readonly OutputRow[]
  /** Names that an earlier version exposed and that this workflow no longer has. */
  readonly gone: readonly string[]
}

type Exposed = Readonly<{ parameters: readonly Parameter[]; outputs: readonly Output[] }>

/**
 * Where the dialog starts: what is suggested is ticked; for a new version of a definition what it exposed already,
 * under its names, in its order and with its ranges, as far as the workflow still has it.
 */
export function startingExposure(inspection: Inspection, previous: Exposed | null = null): Exposure {
  if (previous === null) {
    const ticked = new Set(inspection.suggested_parameters)
    const shown = new Set(inspection.suggested_outputs)
    return {
      parameters: exposedFirst(inspection.parameters.map((parameter) => row(parameter, ticked.has(parameter.name)))),
      outputs: exposedFirst(inspection.outputs.map((output) => outputRow(output, shown.has(output.name)))),
      gone: [],
    }
  }
  const inputs = new Map(inspection.parameters.map((parameter) => [inputKey(parameter), parameter]))
  const links = new Map(inspection.outputs.map((output) => [linkKey(output), output]))
  const gone: string[] = []
  const keptInputs: ParameterRow[] = []
  for (const before of previous.parameters) {
    const now = inputs.get(inputKey(before))
    if (now === undefined) gone.push(before.name)
    else keptInputs.push({ ...row(kept(now, before), true), name: before.name })
  }
  const keptLinks: OutputRow[] = []
  for (const before of previous.outputs) {
    const now = links.get(linkKey(before))
    if (now === undefined) gone.push(before.name)
    else keptLinks.push({ ...outputRow(now, true), name: before.name })
  }
  return {
    parameters: [...keptInputs, ...others(inspection.parameters.map((one) => row(one, false)), keptInputs)],
    outputs: [...keptLinks, ...others(inspection.outputs.map((one) => outputRow(one, false)), keptLinks)],
    gone,
  }
}

/** Tick or untick: what is ticked goes to the end of those that are, what is unticked behind them. */
export function tick<R extends ParameterRow | OutputRow>(rows: readonly R[], key: string, exposed: boolean): R[] {
  const changed = rows.find((one) => one.key === key)
  if (changed === undefined) return [...rows]
  const rest = rows.filter((one) => one.key !== key)
  const border = rest.findIndex((one) => !one.exposed)
  const at = border < 0 ? rest.length : border
  return [...rest.slice(0, at), { ...changed, exposed }, ...rest.slice(at)]
}

/** Move an exposed row up (-1) or down (+1) among the exposed ones. */
export function move<R extends ParameterRow | OutputRow>(rows: readonly R[], key: string, by: -1 | 1): R[] {
  const at = rows.findIndex((one) => one.key === key)
  const one = rows[at]
  if (!one?.exposed || !rows[at + by]?.exposed) return [...rows]
  const moved = rows.filter((other) => other !== one)
  moved.splice(at + by, 0, one)
  return moved
}

export type Fault =
  | { readonly kind: 'nameless'; readonly key: string }
  | { readonly kind: 'twice'; readonly key: string; readonly name: string }
  | { readonly kind: 'range'; readonly key: string; readonly name: string }
  | { readonly kind: 'outside'; readonly key: string; readonly name: string }
  | { readonly kind: 'noOutput'; readonly key: '' }

/** What must be mended before it can be stored. The server checks it all again. */
export function faults(exposure: Exposure): Fault[] {
  const found: Fault[] = []
  const inputs = exposure.parameters.filter((one) => one.exposed)
  const outputs = exposure.outputs.filter((one) => one.exposed)
  for (const rows of [inputs, outputs]) {
    const seen = new Set<string>()
    for (const { key, name } of rows) {
      const trimmed = name.trim()
      if (trimmed === '') found.push({ kind: 'nameless', key })
      else if (seen.has(trimmed)) found.push({ kind: 'twice', key, name: trimmed })
      seen.add(trimmed)
    }
  }
  for (const { key, name, parameter } of inputs) {
    const { minimum, maximum, default: value } = parameter
    if (minimum !== null && maximum !== null && minimum > maximum) found.push({ kind: 'range', key, name })
    else if (
      (typeof value === 'number' || typeof value === 'bigint') &&
      ((minimum !== null && value < minimum) || (maximum !== null && value > maximum))
    )
      found.push({ kind: 'outside', key, name })
  }
  if (outputs.length === 0) found.push({ kind: 'noOutput', key: '' })
  return found
}

/** What is stored. */
export function exposed(exposure: Exposure): { parameters: Parameter[]; outputs: Output[] } {
  return {
    parameters: exposure.parameters
      .filter((one) => one.exposed)
      .map(({ parameter, name }) => ({ ...parameter, name: name.trim() })),
    outputs: exposure.outputs.filter((one) => one.exposed).map(({ output, name }) => ({ ...output, name: name.trim() })),
  }
}

function row(parameter: Parameter, isExposed: boolean): ParameterRow {
  return { key: inputKey(parameter), parameter, exposed: isExposed, name: parameter.name }
}

function outputRow(output: Output, isExposed: boolean): OutputRow {
  return { key: linkKey(output), output, exposed: isExposed, name: output.name }
}

/** What the workflow says now, with the range that the user gave it before. */
function kept(now: Parameter, before: Parameter): Parameter {
  const { minimum, maximum, step, tooltip, required, role } = before
  return { ...now, minimum, maximum, step, tooltip, required, role: role || now.role }
}

function exposedFirst<R extends { readonly exposed: boolean }>(rows: readonly R[]): R[] {
  return [...rows.filter((one) => one.exposed), ...rows.filter((one) => !one.exposed)]
}

function others<R extends { readonly key: string }>(all: readonly R[], kept: readonly R[]): R[] {
  const keys = new Set(kept.map((one) => one.key))
  return all.filter((one) => !keys.has(one.key))
}

function inputKey({ node_id, input_name }: Parameter): string {
  return `${node_id}\n${input_name}`
}

function linkKey({ node_id, index }: Output): string {
  return `${node_id}\n${index}`
}
