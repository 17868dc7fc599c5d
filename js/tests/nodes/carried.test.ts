import { describe, expect, it } from 'vitest'

import { carriedIds, carriedText, REMOTE_WORKFLOW, titleIn, usedIds, withCarried, withTitle } from '@/nodes/carried'

const remote = (workflow: unknown) => ({ type: REMOTE_WORKFLOW, widgets: [{ name: 'workflow', value: workflow }] })

describe('what a graph carries', () => {
  it('is what its nodes run, those in subgraphs too, each once', () => {
    const inner = { nodes: [remote('b'), remote('a')] }
    const graph = { nodes: [remote('c'), remote('a'), remote(''), { type: 'KSampler' }], subgraphs: new Map([['x', inner]]) }
    expect(usedIds(graph)).toEqual(['a', 'b', 'c'])
  })

  it('stands beside what else is in the graph’s extra', () => {
    const extra = { ds: { scale: 1 }, orchestrator: { source: { id: 'x' } } }
    const carried = withCarried(extra, '{"definitions":[]}')
    expect(carried).toEqual({ ds: { scale: 1 }, orchestrator: { source: { id: 'x' }, definitions: '{"definitions":[]}' } })
    expect(carriedText(carried)).toBe('{"definitions":[]}')
    expect(withCarried(carried, '')).toEqual(extra)
    expect(withCarried({ orchestrator: { definitions: 'x' } }, '')).toEqual({})
  })

  it('says what the graph is called, until it has no name', () => {
    const extra = { orchestrator: { definitions: 'x' } }
    const titled = withTitle(extra, 'Summer album')
    expect(titleIn(titled)).toBe('Summer album')
    expect(carriedText(titled)).toBe('x')
    expect(withTitle(titled, '')).toEqual(extra)
    expect(titleIn({ orchestrator: { title: 7 } })).toBe('')
  })

  it('is read whether it is a text or an object, and damaged it is nothing', () => {
    expect(carriedText({ orchestrator: { definitions: { definitions: [{ id: 'a' }] } } })).toBe('{"definitions":[{"id":"a"}]}')
    expect([...carriedIds('{"definitions":[{"id":"a"},{"id":7},null]}')]).toEqual(['a'])
    expect(carriedIds('{').size).toBe(0)
    expect(carriedText(undefined)).toBe('')
  })
})
