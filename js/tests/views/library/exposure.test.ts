import { describe, expect, it } from 'vitest'

import { exposed, faults, move, startingExposure, tick } from '@/views/library/exposure'

import { inspection, output, parameter } from '../../support/library'

const found = inspection({
  parameters: [parameter('steps'), parameter('seed'), parameter('cfg')],
  outputs: [output('image'), output('mask', { index: 1 })],
  suggested_parameters: ['seed', 'cfg'],
  suggested_outputs: ['image'],
})
const names = (rows: readonly { name: string }[]) => rows.map(({ name }) => name)

describe('what a workflow exposes', () => {
  it('starts with what is suggested, which comes first', () => {
    const start = startingExposure(found)
    expect(names(start.parameters)).toEqual(['seed', 'cfg', 'steps'])
    expect(names(exposed(start).parameters)).toEqual(['seed', 'cfg'])
    expect(names(exposed(start).outputs)).toEqual(['image'])
  })

  it('keeps names, order and ranges of the version before, with the values of now', () => {
    const start = startingExposure(found, {
      parameters: [
        parameter('Guidance', { input_name: 'cfg', default: 7, maximum: 20 }),
        parameter('Count', { input_name: 'steps' }),
      ],
      outputs: [output('Picture')],
    })
    const [first, second] = exposed(start).parameters
    expect(first).toMatchObject({ name: 'Guidance', input_name: 'cfg', default: 1, maximum: 20 })
    expect(second?.name).toBe('Count')
    expect(names(exposed(start).outputs)).toEqual(['Picture'])
    expect(start.gone).toEqual([])
  })

  it('tells what the version before exposed and the workflow no longer has', () => {
    const start = startingExposure(found, {
      parameters: [parameter('old', { input_name: 'gone' })],
      outputs: [output('lost', { node_id: '5' })],
    })
    expect(start.gone).toEqual(['old', 'lost'])
  })

  it('puts what is ticked behind the others that are', () => {
    const { parameters } = startingExposure(found)
    const ticked = tick(parameters, '1\nsteps', true)
    expect(names(ticked.filter((row) => row.exposed))).toEqual(['seed', 'cfg', 'steps'])
    expect(names(tick(ticked, '1\nseed', false))).toEqual(['cfg', 'steps', 'seed'])
  })

  it('moves only within what is exposed', () => {
    const { parameters } = startingExposure(found)
    expect(names(move(parameters, '1\ncfg', -1))).toEqual(['cfg', 'seed', 'steps'])
    expect(names(move(parameters, '1\nseed', 1))).toEqual(['cfg', 'seed', 'steps'])
    expect(names(move(parameters, '1\ncfg', 1))).toEqual(names(parameters))
    expect(names(move(parameters, '1\nseed', -1))).toEqual(names(parameters))
  })
})

describe('what must be mended', () => {
  const start = startingExposure(found)
  const withRow = (parts: Parameters<typeof parameter>[1], name = 'seed') => ({
    ...start,
    parameters: start.parameters.map((row) =>
      row.name === 'seed' ? { ...row, name, parameter: { ...row.parameter, ...parts } } : row,
    ),
  })

  it('is nothing at the start', () => {
    expect(faults(start)).toEqual([])
  })

  it.each([
    ['a missing name', withRow({}, '  '), 'nameless'],
    ['a name that two have', withRow({}, 'cfg'), 'twice'],
    ['a range that is none', withRow({ minimum: 5, maximum: 1 }), 'range'],
    ['a default outside of its range', withRow({ minimum: 5, default: 1 }), 'outside'],
    ['no output', { ...start, outputs: start.outputs.map((row) => ({ ...row, exposed: false })) }, 'noOutput'],
  ])('is %s', (_, exposure, kind) => {
    expect(faults(exposure).map((fault) => fault.kind)).toContain(kind)
  })

  it('is told of exposed inputs only', () => {
    const hidden = withRow({ minimum: 5, maximum: 1 })
    const unticked = { ...hidden, parameters: tick(hidden.parameters, '1\nseed', false) }
    expect(faults(unticked)).toEqual([])
  })
})
