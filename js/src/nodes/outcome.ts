import * as v from 'valibot'

import type { Translate } from '@/i18n/translate'
import { formatDuration } from '@/i18n/format'

import type { StatusContent } from './statusLine'

/** What a Remote Workflow node tells of its jobs when it has been executed, one for each item. */
const Outcomes = v.object({
  orchestrator: v.array(
    v.object({
      job_id: v.string(),
      backend: v.string(),
      elapsed_s: v.number(),
      attempts: v.number(),
      cached: v.boolean(),
      failed: v.boolean(),
      cause: v.string(),
    }),
  ),
})

/** Sum up what became of a node's jobs, in a line; null where its output tells nothing of jobs. */
export function outcomeLine(output: unknown, t: Translate): StatusContent | null {
  const parsed = v.safeParse(Outcomes, output)
  if (!parsed.success || parsed.output.orchestrator.length === 0) return null
  const jobs = parsed.output.orchestrator
  const [first] = jobs
  const failed = jobs.filter((job) => job.failed)
  const backends = [...new Set(jobs.flatMap(({ backend }) => (backend === '' ? [] : [backend])))].join(', ')
  const again = jobs.filter(({ attempts }) => attempts > 1)
  const cached = jobs.filter((job) => job.cached)
  const parts: string[] = []
  if (jobs.length === 1 && first !== undefined) {
    parts.push(backends)
    if (first.cached) parts.push(t('nodes.cached'))
    else parts.push(formatDuration(first.elapsed_s, t.language()))
    if (first.attempts > 1) parts.push(t('nodes.attempt', { n: first.attempts }))
  } else {
    parts.push(t.plural('nodes.items', jobs.length, { backends }))
    if (cached.length > 0) parts.push(t('nodes.someCached', { n: cached.length }))
    if (again.length > 0) parts.push(t('nodes.someAgain', { n: again.length }))
  }
  if (failed.length > 0) parts.push(t('nodes.someFailed', { n: failed.length, cause: failed[0]?.cause ?? '' }))
  return { tone: failed.length > 0 ? 'warn' : 'calm', text: parts.filter((part) => part !== '').join(' · ') }
}
