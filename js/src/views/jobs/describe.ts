import type { JobStatus } from '@/api/schemas/jobs'

export type Tone = 'neutral' | 'good' | 'warn' | 'bad' | 'accent'

export const TONES: Readonly<Record<JobStatus, Tone>> = {
  queued: 'neutral',
  dispatched: 'accent',
  running: 'accent',
  lost: 'warn',
  waiting: 'warn',
  cancelling: 'warn',
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'neutral',
}

export const ICONS: Readonly<Record<JobStatus, string>> = {
  queued: 'pi-clock',
  dispatched: 'pi-send',
  running: 'pi-cog',
  lost: 'pi-exclamation-triangle',
  waiting: 'pi-question-circle',
  cancelling: 'pi-ban',
  succeeded: 'pi-check-circle',
  failed: 'pi-times-circle',
  cancelled: 'pi-ban',
}
