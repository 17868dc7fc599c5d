import { describe, expect, it } from 'vitest'

import { cutOut, promptIds, type OutputOf, type Prompt } from '@/commands/selection'

const PROMPT: Prompt = {
  '1': { class_type: 'Checkpoint', inputs: { name: 'a.safetensors' } },
  '2': { class_type: 'LoadImage', inputs: { image: 'x.png' } },
  '3': { class_type: 'Sampler', inputs: { model: ['1', 0], image: ['2', 0], again: ['2', 0], steps: 4 } },
  '4': { class_type: 'Save', inputs: { images: ['3', 0] } },
  '5': { class_type: 'Compare', inputs: { image: ['3', 0], other: ['3', 1] } },
  '6:7': { class_type: 'Inner', inputs: {} },
  '6:8': { class_type: 'Inner', inputs: {} },
}

const OUTPUTS: Record<string, { type: string; name: string }> = {
  '1 0': { type: 'MODEL', name: 'MODEL' },
  '2 0': { type: 'IMAGE', name: 'IMAGE' },
  '3 0': { type: 'IMAGE', name: 'Result' },
  '3 1': { type: 'MASK', name: 'RESULT' },
}

const outputOf: OutputOf = (id, index) => OUTPUTS[`${id} ${index}`] ?? null

describe('a selection as a workflow', () => {
  const cut = cutOut(PROMPT, new Set(['3']), outputOf)

  it('takes what makes a model along, and asks for the image', () => {
    expect(cut['1']).toEqual(PROMPT['1'])
    expect(cut['2']).toBeUndefined()
    const inputs = Object.entries(cut).filter(([, node]) => node.class_type === 'OrchestratorWorkflowInput')
    expect(inputs.map(([, node]) => node.inputs)).toEqual([{ name: 'image', type: 'IMAGE' }])
    const [id] = inputs[0] ?? []
    expect(cut['3']?.inputs).toEqual({ model: ['1', 0], image: [id, 0], again: [id, 0], steps: 4 })
  })

  it('yields each output that is used outside, once, under names that differ', () => {
    const outputs = Object.values(cut).filter((node) => node.class_type === 'OrchestratorWorkflowOutput')
    expect(outputs.map((node) => node.inputs)).toEqual([
      { name: 'result', value: ['3', 0] },
      { name: 'result_2', value: ['3', 1] },
    ])
  })

  it('is the prompt itself when everything is selected', () => {
    expect(cutOut(PROMPT, new Set(Object.keys(PROMPT)), outputOf)).toEqual(PROMPT)
  })

  it('takes a subgraph as all that is in it', () => {
    expect([...promptIds(PROMPT, ['6', '4'])]).toEqual(['4', '6:7', '6:8'])
  })

  it.each(['SVG', 'MESH', 'VOXEL', 'FILE_3D_GLB'])('asks for a %s, and yields one', (type) => {
    const prompt: Prompt = {
      '1': { class_type: 'Make', inputs: {} },
      '2': { class_type: 'Change', inputs: { thing: ['1', 0] } },
      '3': { class_type: 'Save', inputs: { thing: ['2', 0] } },
    }
    const found = Object.values(cutOut(prompt, new Set(['2']), () => ({ type, name: 'Thing' })))
    expect(found.map((node) => node.class_type).sort()).toEqual([
      'Change',
      'OrchestratorWorkflowInput',
      'OrchestratorWorkflowOutput',
    ])
    expect(found).toContainEqual({ class_type: 'OrchestratorWorkflowInput', inputs: { name: 'thing', type } })
  })

  it('makes conditioning itself, and yields it', () => {
    const prompt: Prompt = {
      '1': { class_type: 'Encode', inputs: { text: 'a fox' } },
      '2': { class_type: 'Average', inputs: { conditioning: ['1', 0] } },
      '3': { class_type: 'Sampler', inputs: { positive: ['2', 0] } },
    }
    const found = Object.values(cutOut(prompt, new Set(['2']), () => ({ type: 'CONDITIONING', name: 'CONDITIONING' })))
    expect(found.map((node) => node.class_type).sort()).toEqual(['Average', 'Encode', 'OrchestratorWorkflowOutput'])
  })
})
