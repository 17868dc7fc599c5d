import type { BackendAttempt } from '@/api/schemas/history'
import type { TextKey, Translate } from '@/i18n/translate'

/** Attempts in words and colours. Pure. */

const TEXTS: Readonly<Record<string, TextKey>> = {
  submitting: 'attempts.submitting',
  accepted: 'attempts.accepted',
  running: 'attempts.running',
  lost: 'attempts.lost',
  succeeded: 'attempts.succeeded',
  failed: 'attempts.failed',
  cancelled: 'attempts.cancelled',
}

/** What became of an attempt; a status of a newer server as it is. */
export function attemptText({ status }: Pick<BackendAttempt, 'status'>, t: Translate): string {
  const key = TEXTS[status]
  return key === undefined ? status : t(key)
}

export function attemptTone({ status }: Pick<BackendAttempt, 'status'>): 'neutral' | 'good' | 'warn' | 'bad' | 'accent' {
  if (status === 'succeeded') return 'good'
  if (status === 'failed') return 'bad'
  if (status === 'lost') return 'warn'
  return status === 'running' ? 'accent' : 'neutral'
}

/** A span of time on the axis of a chart. */
export interface Span {
  readonly from: number
  readonly to: number
  readonly label: string
  readonly tone: 'good' | 'bad' | 'accent' | 'neutral' | 'warn'
}

/** When attempts ran; those under way until now. One that never started has no span. */
export function spansOf(attempts: readonly BackendAttempt[], now: number, t: Translate, nameOf: (definition: string) => string): Span[] {
  return attempts.flatMap((attempt) =>
    attempt.started_at === null
      ? []
      : [
          {
            from: attempt.started_at,
            to: attempt.ended_at ?? now,
            label: `${nameOf(attempt.definition)} · ${attemptText(attempt, t)}`,
            tone: attemptTone(attempt),
          },
        ],
  )
}
