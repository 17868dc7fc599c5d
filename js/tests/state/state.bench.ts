import * as v from 'valibot'
import { bench, describe } from 'vitest'

import { BackendList } from '@/api/schemas/backends'
import { reduce } from '@/state/reduce'
import { counts, currentWork } from '@/state/selectors'
import { INITIAL } from '@/state/state'

import { backend, change, job, progress } from '../support/make'

const BACKENDS = Array.from({ length: 50 }, (_, i) => backend(`b${i}`))
const JOBS = Array.from({ length: 10_000 }, (_, i) => job(`j${i}`, 'running'))
const full = reduce(INITIAL, [{ type: 'snapshot', backends: BACKENDS, activeJobs: JOBS }])
const busy = reduce(full, [{ type: 'progressed', jobs: JOBS.slice(0, 50).map(({ id }, i) => progress(id, `b${i}`, 0.5)) }])

describe('with 50 backends and 10,000 jobs under way', () => {
  bench('a batch of 100 changes of jobs', () => {
    reduce(full, [{ type: 'jobsChanged', changes: Array.from({ length: 100 }, (_, i) => change(`j${i}`, 'succeeded', 'b1')) }])
  })

  bench('the progress of 50 jobs', () => {
    reduce(busy, [{ type: 'progressed', jobs: JOBS.slice(0, 50).map(({ id }, i) => progress(id, `b${i}`, 0.6)) }])
  })

  bench('all backends told anew, unchanged', () => {
    reduce(full, [{ type: 'backendsListed', backends: structuredClone(BACKENDS) }])
  })

  bench('checking a message about all backends', () => {
    v.parse(BackendList, { backends: BACKENDS })
  })

  bench('counting what runs, and finding what each backend does', () => {
    counts(busy)
    currentWork(busy)
  })
})
