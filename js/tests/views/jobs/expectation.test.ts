import { describe, expect, it } from 'vitest'

import type { Candidate } from '@/api/schemas/jobs'
import { createTranslate } from '@/i18n/translate'
import { expectation } from '@/views/jobs/expectation'

const t = createTranslate(() => 'en')
const CANDIDATE: Candidate = {
  backend_id: 'b',
  backend: 'Bert',
  completion_s: 48,
  queue_s: 0,
  transfer_s: 3,
  switch_s: 0,
  run_s: 45,
  penalty_s: 0,
  runs_seen: 4,
  run_range_s: [40, 50],
}

describe('when a backend would be done', () => {
  it('is told as it is where that rests on runs there', () => {
    expect(expectation(CANDIDATE, t)).toEqual({ total: '48 s', parts: 'transfer 3 s + run 45 s' })
  })

  it('is a range where that comes from runs elsewhere', () => {
    const elsewhere = { ...CANDIDATE, runs_seen: 0, run_range_s: [20, 130] as [number, number], switch_s: 5 }
    expect(expectation(elsewhere, t)).toEqual({
      total: 'about 48 s',
      parts: 'transfer 3 s + loading models 5 s + run 20 s to 2 min 10 s',
    })
  })

  it('is not made up for a workflow that has run nowhere', () => {
    const never = { ...CANDIDATE, runs_seen: 0, run_range_s: null, run_s: 495, switch_s: 5, queue_s: 12 }
    expect(expectation(never, t)).toEqual({
      total: 'not known yet',
      parts: 'queue 12 s + transfer 3 s + run: not known until it has run once',
    })
  })
})
