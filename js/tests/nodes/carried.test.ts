import { describe, expect, it } from 'vitest'

import { carriedIds, carriedText, REMOTE_WORKFLOW, usedIds, withCarried } from '@/nodes/carried'

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

  it('is read whether it is a text or an object, and damaged it is nothing', () => {
    expect(carriedText({ orchestrator: { definitions: { definitions: [{ id: 'a' }] } } })).toBe('{"definitions":[{"id":"a"}]}')
    expect([...carriedIds('{"definitions":[{"id":"a"},{"id":7},null]}')]).toEqual(['a'])
    expect(carriedIds('{').size).toBe(0)
    expect(carriedText(undefined)).toBe('')
  })
})
