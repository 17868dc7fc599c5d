import { describe, expect, it, vi } from 'vitest'

import { createClient } from '@/api/client'
import type { Context } from '@/context'
import { createAsked } from '@/prompts/asked'
import { grouped, secondsLeft, timed, type Question } from '@/prompts/questions'
import { createTranslate } from '@/i18n/translate'
import { createStore } from '@/state/store'

import { fakeHost } from '../support/fakeHost'
import { job } from '../support/make'

function question(id: string, more: { definition?: string; cause?: string; remaining_s?: number } = {}): Question {
  const { definition = 'upscale', cause = 'out_of_memory', remaining_s = 60 } = more
  const failure = { cause, message: `${cause} on ${id}`, node_id: null, class_type: null, traceback: [], dropped: false }
  return {
    job: job(id, 'waiting', { definition }),
    definition_name: definition.toUpperCase(),
    attempts: [{ number: 1, backend: `pc-${id}`, failure }],
    remaining_s,
  }
}

describe('questions', () => {
  it('of one workflow and cause are one group, the most urgent group first', () => {
    const asked = [
      question('a'),
      question('b', { remaining_s: 30 }),
      question('c', { cause: 'stalled', remaining_s: 10 }),
      question('d', { definition: 'other' }),
    ]
    const groups = grouped(timed(asked, 1000))
    expect(groups.map(({ jobs }) => jobs)).toEqual([['c'], ['a', 'b'], ['d']])
    expect(groups[1]).toMatchObject({ dueAt: 31_000, backends: ['pc-a', 'pc-b'], message: 'out_of_memory on a' })
  })

  it('count down to nothing and not below', () => {
    expect(secondsLeft(5_200, 1_000)).toBe(5)
    expect(secondsLeft(1_000, 1_000)).toBe(0)
    expect(secondsLeft(0, 9_000)).toBe(0)
  })
})

describe('what this user is asked', () => {
  function start() {
    const fake = fakeHost()
    const client = createClient((route, init) => fake.api.fetchApi(route, init))
    const store = createStore((flush) => flush())
    const t = createTranslate(() => 'en')
    fake.answer('GET /questions', () => ({ questions: [question('a'), question('b')], choices: ['retry', 'drop', 'fail'] }))
    const asked = createAsked({ host: fake.host, client, store, t } as Context, () => 0)
    const tell = (...jobs: ReturnType<typeof job>[]) =>
      store.dispatch({ type: 'jobsChanged', changes: jobs.map((one) => ({ kind: 'asked', job: one })) })
    return { ...fake, asked, tell }
  }

  it('follows the jobs that wait, and closes what was answered elsewhere', async () => {
    const { asked, tell } = start()
    tell(job('a', 'waiting'), job('b', 'waiting'))
    await vi.waitFor(() => expect(asked.groups.value).toHaveLength(1))
    expect(asked.groups.value[0]?.jobs).toEqual(['a', 'b'])
    tell(job('a', 'queued'))
    expect(asked.groups.value[0]?.jobs).toEqual(['b'])
    tell(job('b', 'failed'))
    expect(asked.groups.value).toEqual([])
  })

  it('sends one answer for all jobs of a group', async () => {
    const { asked, tell, answer, requests } = start()
    answer('POST /jobs/a/decision', () => ({}))
    answer('POST /jobs/b/decision', () => ({}))
    tell(job('a', 'waiting'), job('b', 'waiting'))
    await vi.waitFor(() => expect(asked.groups.value).toHaveLength(1))
    const [group] = asked.groups.value
    if (group) await asked.answer(group, 'drop')
    expect(requests.filter((request) => request.startsWith('POST'))).toEqual([
      'POST /jobs/a/decision',
      'POST /jobs/b/decision',
    ])
  })

  it('offers what both the page and the server know, in the order of the page', async () => {
    const { asked, tell, answer } = start()
    answer('GET /questions', () => ({ questions: [question('a')], choices: ['later', 'fail', 'retry_elsewhere', 'retry'] }))
    tell(job('a', 'waiting'))
    await vi.waitFor(() => expect(asked.groups.value).toHaveLength(1))
    expect(asked.answers.value).toEqual(['retry', 'retry_elsewhere', 'fail'])
  })

  it('says so when an answer is not taken while the question is still there', async () => {
    const { asked, tell, toasts } = start()
    tell(job('a', 'waiting'), job('b', 'waiting'))
    await vi.waitFor(() => expect(asked.groups.value).toHaveLength(1))
    const [group] = asked.groups.value
    if (group) await asked.answer(group, 'retry')
    expect(toasts.map(({ severity }) => severity)).toEqual(['error'])
  })
})
