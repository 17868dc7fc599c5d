/** A part of a prompt as a workflow of its own: what crosses its edge becomes named inputs and outputs. Pure. */

import { canTravel, TENSOR_TYPES } from '@/api/valueTypes'

export interface PromptNode {
  readonly class_type: string
  readonly inputs: Readonly<Record<string, unknown>>
  readonly _meta?: unknown
}

export type Prompt = Readonly<Record<string, PromptNode>>

/** The type of a node's output, and what the canvas calls it; null where the canvas does not know the node. */
export type OutputOf = (nodeId: string, index: number) => { readonly type: string; readonly name: string } | null

const WORKFLOW_INPUT = 'OrchestratorWorkflowInput'
const WORKFLOW_OUTPUT = 'OrchestratorWorkflowOutput'

/**
 * Whether a value of this type is passed into the workflow. What makes others is part of it: models never travel;
 * conditioning, which only servers with the pack can be given, any server makes again from its texts; and what is one of
 * a list for one node may be none for another.
 */
function passedIn(type: string): boolean {
  return canTravel(type) && !TENSOR_TYPES.has(type) && type !== 'COMBO'
}

/**
 * Cut the chosen nodes out of a prompt. Links that come from outside become Workflow Inputs, one for each place they
 * come from; where their type cannot be passed in (a model, say), what makes it is taken along. Links that lead outside
 * become Workflow Outputs.
 */
export function cutOut(prompt: Prompt, chosen: ReadonlySet<string>, outputOf: OutputOf): Prompt {
  const inside = closure(prompt, chosen, outputOf)
  const cut: Record<string, PromptNode> = {}
  const sources = new Map<string, string>()
  const [inputNames, outputNames] = [new Set<string>(), new Set<string>()]
  const unique = (names: Set<string>, wanted: string) => {
    let name = wanted
    for (let number = 2; names.has(name); number++) name = `${wanted}_${number}`
    names.add(name)
    return name
  }
  let made = 0
  const add = (node: PromptNode) => {
    let id = ''
    do id = `cut_${++made}`
    while (id in prompt)
    cut[id] = node
    return id
  }

  for (const id of inside) {
    const node = prompt[id]
    if (node === undefined) continue
    const inputs = Object.entries(node.inputs).map(([name, value]) => {
      const link = asLink(value)
      if (link === null || inside.has(link[0])) return [name, value] as const
      const key = link.join(' ')
      let source = sources.get(key)
      if (source === undefined) {
        const type = outputOf(...link)?.type ?? 'IMAGE'
        source = add({ class_type: WORKFLOW_INPUT, inputs: { name: unique(inputNames, name), type } })
        sources.set(key, source)
      }
      return [name, [source, 0]] as const
    })
    cut[id] = { ...node, inputs: Object.fromEntries(inputs) }
  }

  const led = new Set<string>()
  for (const [id, node] of Object.entries(prompt)) {
    if (inside.has(id)) continue
    for (const value of Object.values(node.inputs)) {
      const link = asLink(value)
      if (link === null || !inside.has(link[0]) || led.has(link.join(' '))) continue
      const output = outputOf(...link)
      if (output === null || !canTravel(output.type)) continue
      led.add(link.join(' '))
      add({ class_type: WORKFLOW_OUTPUT, inputs: { name: unique(outputNames, output.name.toLowerCase()), value: [...link] } })
    }
  }
  return cut
}

/** Return the nodes of a prompt that chosen nodes of the canvas stand for: a subgraph stands for all that is in it. */
export function promptIds(prompt: Prompt, canvasIds: Iterable<string>): Set<string> {
  const prefixes = [...canvasIds]
  return new Set(
    Object.keys(prompt).filter((id) => prefixes.some((chosen) => id === chosen || id.startsWith(`${chosen}:`))),
  )
}

function closure(prompt: Prompt, chosen: ReadonlySet<string>, outputOf: OutputOf): ReadonlySet<string> {
  const inside = new Set([...chosen].filter((id) => id in prompt))
  const waiting = [...inside]
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    for (const value of Object.values(prompt[id]?.inputs ?? {})) {
      const link = asLink(value)
      if (link === null || inside.has(link[0]) || !(link[0] in prompt)) continue
      if (passedIn(outputOf(...link)?.type ?? '')) continue
      inside.add(link[0])
      waiting.push(link[0])
    }
  }
  return inside
}

function asLink(value: unknown): readonly [string, number] | null {
  if (!Array.isArray(value) || value.length !== 2 || typeof value[1] !== 'number') return null
  return [String(value[0]), value[1]]
}
