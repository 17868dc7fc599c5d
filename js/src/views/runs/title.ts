import type { RunSummary } from '@/api/schemas/runs'
import { formatTime } from '@/i18n/format'
import type { Translate } from '@/i18n/translate'

/** What people call a run; one without a name by its time. */
export function titleOf({ title, created_at }: Pick<RunSummary, 'title' | 'created_at'>, now: number, t: Translate): string {
  return title !== '' ? title : t('runs.untitled', { time: formatTime(created_at, now, t.language()) })
}
