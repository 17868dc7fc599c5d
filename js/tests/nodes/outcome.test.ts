import { describe, expect, it } from 'vitest'

import { createTranslate } from '@/i18n/translate'
import { outcomeLine } from '@/nodes/outcome'

const t = createTranslate(() => 'en')
const job = { job_id: 'j', backend: 'desk', elapsed_s: 3.21, attempts: 1, cached: false, failed: false, cause: '' }
const line = (...jobs: object[]) => outcomeLine({ orchestrator: jobs.map((one) => ({ ...job, ...one })) }, t)?.text

describe('what became of a node’s jobs', () => {
  it('is where one ran and how long, or that it came from the cache', () => {
    expect(line({})).toBe('desk · 3.2 s')
    expect(line({ attempts: 2 })).toBe('desk · 3.2 s · attempt 2')
    expect(line({ cached: true })).toBe('desk · from the cache')
  })

  it('is a sum for many', () => {
    expect(line({}, { backend: 'big PC', cached: true }, { attempts: 3 })).toBe(
      '3 items on desk, big PC · 1 from the cache · 1 after several attempts',
    )
  })

  it('names why items were left out', () => {
    const told = outcomeLine({ orchestrator: [job, { ...job, failed: true, cause: 'out of memory' }] }, t)
    expect(told).toEqual({ tone: 'warn', text: '2 items on desk · 1 left out: out of memory' })
  })

  it('is nothing where the output tells nothing of jobs', () => {
    expect(outcomeLine({ images: [] }, t)).toBeNull()
    expect(outcomeLine({ orchestrator: [{ backend: 7 }] }, t)).toBeNull()
    expect(outcomeLine(null, t)).toBeNull()
  })
})
