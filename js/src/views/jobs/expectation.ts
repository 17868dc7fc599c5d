import type { Candidate } from '@/api/schemas/jobs'
import { formatDuration } from '@/i18n/format'
import type { Translate } from '@/i18n/translate'

/** When a backend would be done with a job, and what that is made of, in words. */
export interface Expectation {
  readonly total: string
  readonly parts: string
}

/** Least seconds that are worth a word. */
const WORTH_TELLING_S = 0.001

/**
 * Tell what is expected of a backend. A time that rests on runs there is told as it is, one that comes from runs elsewhere as
 * a range, and none of a workflow that has run nowhere: whatever stood there would be made up. Pure.
 */
export function expectation(candidate: Candidate, t: Translate): Expectation {
  const language = t.language()
  const time = (seconds: number) => formatDuration(seconds, language)
  const { runs_seen: runs, run_range_s: range } = candidate
  const total = runs > 0 ? time(candidate.completion_s) : range ? t('jobs.roughly', { time: time(candidate.completion_s) }) : t('jobs.notKnownYet')
  const run = runs > 0 ? `${t('jobs.part.run')} ${time(candidate.run_s)}` : range ? t('jobs.part.range', { from: time(range[0]), to: time(range[1]) }) : t('jobs.part.unknown')
  const timed = (key: 'queue' | 'transfer' | 'switch' | 'penalty', seconds: number) =>
    seconds >= WORTH_TELLING_S ? [`${t(`jobs.part.${key}`)} ${time(seconds)}`] : []
  const parts = [
    ...timed('queue', candidate.queue_s),
    ...timed('transfer', candidate.transfer_s),
    ...(runs > 0 || range ? timed('switch', candidate.switch_s) : []),
    run,
    ...timed('penalty', candidate.penalty_s),
  ]
  return { total, parts: parts.join(' + ') }
}
