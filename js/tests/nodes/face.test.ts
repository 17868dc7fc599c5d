import { describe, expect, it } from 'vitest'

import { defaultInputs, fittingValues, gone } from '@/nodes/face'
import { noticeFor } from '@/nodes/notice'
import { NOTHING_SAID } from '@/nodes/parameters'
import { choices, widgetSpec } from '@/nodes/widgetSpec'

import { face, parameter } from './faces'

describe('the inputs of a workflow', () => {
  it('are images and the like first, as the server has it, and at most sixteen', () => {
    expect(defaultInputs(face()).map(({ name }) => name)).toEqual(['photo', 'seed', 'text'])
    const many = Array.from({ length: 20 }, (_, index) => parameter(`n${index}`, 'INT'))
    expect(defaultInputs(face({ parameters: many }))).toHaveLength(16)
  })

  it.each(['CONDITIONING', 'SVG', 'MESH', 'VOXEL', 'FILE_3D_GLB'])('count %s among them', (type) => {
    const parameters = [parameter('steps', 'INT'), parameter('thing', type)]
    expect(defaultInputs(face({ parameters })).map(({ name }) => name)).toEqual(['thing', 'steps'])
    expect(fittingValues(face({ parameters }), { thing: 'a.glb', steps: 3 })).toEqual({ steps: 3 })
  })

  it('keep the values that still fit', () => {
    const changed = face({
      parameters: [
        parameter('steps', 'INT', { minimum: 1, maximum: 50 }),
        parameter('name', 'STRING'),
        parameter('mode', 'COMBO', { choices: ['a', 'b'] }),
        parameter('model', 'COMBO', { choices: ['a.safetensors'], role: 'model' }),
      ],
    })
    const values = { steps: 99, name: 'x', mode: 'c', model: 'elsewhere.safetensors', gone: 1 }
    expect(fittingValues(changed, values)).toEqual({ name: 'x', model: 'elsewhere.safetensors' })
  })

  it('keep numbers that no widget holds exactly', () => {
    const changed = face({ parameters: [parameter('seed', 'INT', { minimum: 0, maximum: 2 ** 64 })] })
    expect(fittingValues(changed, { seed: 18446744073709551613n })).toEqual({ seed: 18446744073709551613n })
    expect(fittingValues(changed, { seed: 2n ** 65n })).toEqual({})
  })

  it('are told when the workflow no longer has them', () => {
    const parameters = { version: 1, values: { old: 1, seed: 2 }, inputs: ['photo', 'mask'], outputs: ['image', 'depth'] }
    expect(gone(face(), parameters, new Set())).toEqual(['mask', 'old', 'depth'])
  })
})

describe('what is told on a node', () => {
  const faces = new Map([['upscale', face()]])
  const state = { workflow: 'upscale', parameters: NOTHING_SAID, faces, embedded: false, foreign: false, connected: new Set<string>() }

  it('is nothing where all is well, and as long as the library is not known', () => {
    expect(noticeFor(state).kind).toBe('none')
    expect(noticeFor({ ...state, workflow: 'strange', faces: null }).kind).toBe('none')
  })

  it('is that the library lacks the workflow, and whether the graph brought it along', () => {
    expect(noticeFor({ ...state, workflow: 'strange', embedded: true })).toEqual({
      kind: 'unknown',
      id: 'strange',
      embedded: true,
    })
  })

  it('is what is gone before what is new', () => {
    const shaped = { version: 1, values: {}, inputs: ['photo', 'seed'], outputs: ['image'] }
    expect(noticeFor({ ...state, parameters: shaped })).toEqual({ kind: 'newer', version: 2 })
    expect(noticeFor({ ...state, parameters: { ...shaped, outputs: ['depth'] } })).toEqual({
      kind: 'broken',
      gone: ['depth'],
    })
  })

  it('is that the graph brought another one along, before what that changes', () => {
    const shaped = { version: 1, values: {}, inputs: ['photo', 'seed'], outputs: ['depth'] }
    expect(noticeFor({ ...state, parameters: shaped, foreign: true })).toEqual({ kind: 'foreign', id: 'upscale' })
  })

  it('is that the parameters cannot be read', () => {
    expect(noticeFor({ ...state, parameters: null }).kind).toBe('unreadable')
  })
})

describe('widgets', () => {
  it('have the range that numbers of the browser hold exactly', () => {
    const seed = parameter('seed', 'INT', { role: 'seed', minimum: 0, maximum: 2 ** 64, default: 7 })
    const made = widgetSpec(seed, undefined)
    expect(made).toMatchObject({ kind: 'INT', value: 7, controlled: true })
    expect(made?.spec[1]).toMatchObject({ min: 0, max: Number.MAX_SAFE_INTEGER, control_after_generate: 'control.seed' })
  })

  it('have a range that a number beyond it is in, which fields would change as soon as they are looked into', () => {
    const made = widgetSpec(parameter('seed', 'INT', { role: 'seed' }), 18446744073709551613n)
    expect(made).toMatchObject({ value: 18446744073709551613, spec: ['INT', { max: 18446744073709551613, min: 0 }] })
  })

  it('offer what the backends have, and always what the node says', () => {
    const model = parameter('model', 'COMBO', { choices: ['recorded'] })
    expect(choices(model, 'mine', [])).toEqual(['mine', 'recorded'])
    expect(choices(model, 'there', ['there', 'more'])).toEqual(['there', 'more'])
  })

  it('pick an image by its name, or none', () => {
    const photo = parameter('photo', 'IMAGE', { default: 'of-the-workflow.png' })
    expect(widgetSpec(photo, undefined, ['a.png'])).toMatchObject({ kind: 'COMBO', value: '', spec: [['', 'a.png'], {}] })
    expect(widgetSpec(photo, 'gone.png', ['a.png'])?.spec[0]).toEqual(['', 'a.png', 'gone.png'])
  })

  it.each(['IMAGE', 'MASK', 'AUDIO', 'LATENT', 'VIDEO'])('of an input that takes %s name a file, or none', (type) => {
    const made = widgetSpec(parameter('given', type), undefined, ['a', 'b'])
    expect(made).toMatchObject({ kind: 'COMBO', value: '' })
    expect(made?.spec[0]).toEqual(['', 'a', 'b'])
    expect(widgetSpec(parameter('given', type), 'gone', ['a'])?.spec[0]).toEqual(['', 'a', 'gone'])
  })

  it('are not made for what comes by a link only', () => {
    expect(widgetSpec(parameter('sigmas', 'SIGMAS'), undefined)).toBeNull()
  })
})
