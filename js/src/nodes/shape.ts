import { defaultInputs, defaultOutputs, SLOTS, type Face } from './face'
import { fitToContent, GRID, type CanvasNode, type Slot } from './litegraph'
import type { NodeParameters } from './parameters'
import { planSlots, typesFit, type Meaning, type Present, type SlotPlan } from './slots'

/** Where out_1 stands: `index` and `info` come first. */
const FIRST_OUTPUT = 2

/** The names of inputs that mean what the workflow says. */
export const INPUT_NAME = /^in_([1-9]\d*)$/

/** Take away what the class declares for any workflow; stored nodes bring their own slots. */
export function strip(node: CanvasNode): void {
  for (let index = node.inputs.length - 1; index >= 0; index--) {
    const name = node.inputs[index]?.name ?? ''
    if (INPUT_NAME.test(name) || name === 'parameters') node.removeInput(index)
  }
  for (let index = node.outputs.length - 1; index >= FIRST_OUTPUT; index--) node.removeOutput(index)
}

/** Give a node the inputs of a workflow, and return what in_1, in_2, … are. */
export function shapeInputs(node: CanvasNode, face: Face, last: Face, before: NodeParameters): readonly string[] {
  const meanings = defaultInputs(face)
  const slots = node.inputs.flatMap((slot, index) => (INPUT_NAME.test(slot.name) ? [index] : []))
  const named = before.inputs ?? defaultInputs(last).map(({ name }) => name)
  const present = slots.map((index): Present => {
    const number = Number(INPUT_NAME.exec(node.inputs[index]?.name ?? '')?.[1])
    const name = named[number - 1]
    return { ...(name === undefined ? {} : { name }), ...typeOf(node.inputs[index]), linked: node.isInputConnected(index) }
  })
  const plan = planSlots(present, meanings, (slot, meaning) => {
    const link = node.getInputLink(slots[slot] ?? -1)
    return typesFit(String(link?.type ?? '*'), meanings[meaning]?.type ?? '*')
  })
  for (const slot of plan.unlinked) node.disconnectInput(slots[slot] ?? -1)
  for (const slot of goes(present, plan)) node.removeInput(slots[slot] ?? -1)
  const kept = node.inputs.filter(({ name }) => INPUT_NAME.test(name))
  return plan.slots.map(({ meaning }, position) => {
    const wanted = meanings[meaning] as Meaning
    const slot = kept[position] ?? node.addInput(`in_${position + 1}`, wanted.type)
    rename(slot, `in_${position + 1}`, wanted.name)
    return wanted.name
  })
}

/** Give a node the outputs of a workflow, and return what out_1, out_2, … are. */
export function shapeOutputs(node: CanvasNode, face: Face, last: Face, before: NodeParameters): readonly string[] {
  const meanings = defaultOutputs(face)
  const names = before.outputs ?? defaultOutputs(last).map(({ name }) => name)
  // `report` and what lies behind the workflow's own outputs is shown only in graphs that use it.
  const present = node.outputs.slice(FIRST_OUTPUT).map((slot, index): Present => {
    const name = names[index]
    const linked = node.isOutputConnected(FIRST_OUTPUT + index)
    return { ...(name === undefined ? {} : { name }), ...typeOf(slot), linked }
  })
  if (present.length > SLOTS && present[SLOTS]?.linked === true) {
    labelOutputs(node, meanings)
    return meanings.map(({ name }) => name)
  }
  const plan = planSlots(present, meanings, (slot, meaning) =>
    typesFit(present[slot]?.type ?? '*', meanings[meaning]?.type ?? '*'),
  )
  for (const slot of plan.unlinked) node.disconnectOutput(FIRST_OUTPUT + slot)
  for (const slot of goes(present, plan)) node.removeOutput(FIRST_OUTPUT + slot)
  for (let position = node.outputs.length - FIRST_OUTPUT; position < plan.slots.length; position++) {
    node.addOutput(`out_${position + 1}`, '*', { shape: GRID })
  }
  const chosen = plan.slots.map(({ meaning }) => meanings[meaning] as Meaning)
  labelOutputs(node, chosen)
  return chosen.map(({ name }) => name)
}

/**
 * Which slots go, from the last to the first. Where nothing is linked all do, and others come in their place: some
 * renderers go on showing what a slot was called when they first saw it.
 */
function goes(present: readonly Present[], plan: SlotPlan): readonly number[] {
  return present.some(({ linked }) => linked) ? plan.removed : [...present.keys()].reverse()
}

/** Call outputs what they are; those that are there. */
export function labelOutputs(node: CanvasNode, meanings: readonly Meaning[]): void {
  meanings.forEach(({ name, type }, position) => {
    const slot = node.outputs[FIRST_OUTPUT + position]
    if (slot === undefined) return
    rename(slot, `out_${position + 1}`, name)
    slot.type = type
  })
}

/** Take away unconnected slots that mean nothing. */
export function trim(node: CanvasNode, parameters: NodeParameters): void {
  const before = node.inputs.length + node.outputs.length
  const { inputs, outputs } = parameters
  for (let index = node.inputs.length - 1; index >= 0 && inputs !== null; index--) {
    const name = node.inputs[index]?.name ?? ''
    const meaningless = name === 'parameters' || Number(INPUT_NAME.exec(name)?.[1]) > inputs.length
    if (meaningless && !node.isInputConnected(index)) node.removeInput(index)
  }
  for (let index = node.outputs.length - 1; outputs !== null && index >= FIRST_OUTPUT + outputs.length; index--) {
    if (node.isOutputConnected(index)) break
    node.removeOutput(index)
  }
  if (node.inputs.length + node.outputs.length < before) fitToContent(node)
}

/** Keep the server's name and show the workflow's. */
export function rename(slot: Slot, name: string, label: string): void {
  slot.name = name
  slot.label = label
  slot.localized_name = label // the one that Nodes 2.0 of front end 1.32 shows
}

function typeOf(slot: Slot | undefined): { type?: string } {
  return slot === undefined ? {} : { type: slot.type }
}

