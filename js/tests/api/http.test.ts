import * as v from 'valibot'
import { describe, expect, it } from 'vitest'

import { ApiError, UnexpectedAnswer, Unreachable } from '@/api/errors'
import { createHttp } from '@/api/http'

const Answer = v.object({ name: v.string() })

function answering(response: Response) {
  const sent: { route: string; init: RequestInit }[] = []
  const http = createHttp(async (route, init = {}) => {
    sent.push({ route, init })
    return response
  })
  return { http, sent }
}

describe('a request', () => {
  it('that changes something carries the header against forged requests', async () => {
    const { http, sent } = answering(Response.json({ name: 'x' }))
    await http.send(Answer, 'POST', '/things', { a: 1 })
    expect(sent[0]?.route).toBe('/orchestrator/things')
    expect(sent[0]?.init.headers).toMatchObject({ 'X-Orchestrator': '1', 'Content-Type': 'application/json' })
  })

  it('asks for lists with a parameter each and leaves out what is not given', async () => {
    const { http, sent } = answering(Response.json({ name: 'x' }))
    await http.get(Answer, '/jobs', { status: ['queued', 'running'], search: '', cursor: null, limit: 5 })
    expect(sent[0]?.route).toBe('/orchestrator/jobs?status=queued&status=running&limit=5')
  })

  it('keeps of the answer what is known, so that the server may learn new words', async () => {
    const { http } = answering(Response.json({ name: 'x', novelty: true }))
    expect(await http.get(Answer, '/things')).toEqual({ name: 'x' })
  })
})

describe('a number beyond 2^53', () => {
  it('is exact where that is asked for, and sent with all its digits', async () => {
    const { http, sent } = answering(new Response('{"seed": 18446744073709551615}'))
    const Seed = v.object({ seed: v.bigint() })
    const { seed } = await http.upload(Seed, 'POST', '/read', new Blob(['x']), { exact: true })
    await http.send(v.unknown(), 'POST', '/things', { seed })
    expect(sent.map(({ init }) => init.body).at(-1)).toBe('{"seed":18446744073709551615}')
    expect(sent[0]?.init).not.toHaveProperty('exact')
  })
})

describe('a refusal', () => {
  it('has the words of the server', async () => {
    const body = { error: { code: 'binding_failed', message: 'Too small.', details: { problems: { width: 'below 1' } } } }
    const { http } = answering(Response.json(body, { status: 422 }))
    const error = await http.get(Answer, '/things').catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ code: 'binding_failed', message: 'Too small.', status: 422, problems: { width: 'below 1' } })
  })

  it('by somebody in between, such as a proxy, is told by its status', async () => {
    const { http } = answering(new Response('<html>', { status: 502 }))
    await expect(http.get(Answer, '/things')).rejects.toThrow(/status 502/)
  })

  it('of another form than documented asks for a reload', async () => {
    const { http } = answering(Response.json({ name: 5 }))
    await expect(http.get(Answer, '/things')).rejects.toThrow(UnexpectedAnswer)
  })
})

it('a server that does not answer is told apart from one that refuses', async () => {
  const http = createHttp(() => Promise.reject(new TypeError('Failed to fetch')))
  await expect(http.get(Answer, '/things')).rejects.toThrow(Unreachable)
})
