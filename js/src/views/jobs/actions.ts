import { messageOf } from '@/api/errors'
import { isFinal, type JobSummary } from '@/api/schemas/jobs'
import type { Context } from '@/context'
import type { MenuEntry } from '@/ui/menu'

/** What can be done about jobs. Failures are told in a toast; the list follows by the server's messages. */
export interface JobActions {
  cancel(jobs: readonly JobSummary[]): Promise<void>
  retry(jobs: readonly JobSummary[], elsewhere?: boolean): Promise<void>
  /** Serve a waiting job before another one, or first. */
  move(job: JobSummary, before: string | null): Promise<void>
  prioritise(job: JobSummary, by: 1 | -1): Promise<void>
  entries(job: JobSummary): MenuEntry[]
}

export function createJobActions({ client, host, store, t }: Pick<Context, 'client' | 'host' | 'store' | 't'>): JobActions {
  /** Do something with each, tell the first failure, and once. */
  async function each(jobs: readonly JobSummary[], act: (job: JobSummary) => Promise<unknown>): Promise<number> {
    const done = await Promise.allSettled(jobs.map(act))
    const refused = done.find((one) => one.status === 'rejected')
    if (refused) host.toast({ severity: 'error', summary: t('jobs.refused'), detail: messageOf(refused.reason) })
    return done.filter((one) => one.status === 'fulfilled').length
  }

  const actions: JobActions = {
    async cancel(jobs) {
      await each(jobs.filter(({ status }) => !isFinal(status)), ({ id }) => client.jobs.cancel(id))
    },
    async retry(jobs, elsewhere = false) {
      const count = await each(jobs.filter(({ status }) => isFinal(status)), async ({ id }) => {
        store.dispatch({ type: 'jobsListed', jobs: [await client.jobs.retry(id, elsewhere)] })
      })
      if (count > 0) host.toast({ severity: 'success', summary: t.plural('jobs.retried', count), life: 3_000 })
    },
    async move(job, before) {
      await each([job], ({ id }) => client.jobs.move(id, before))
    },
    async prioritise(job, by) {
      await each([job], ({ id, priority }) => client.jobs.prioritise(id, priority + by))
    },
    entries(job) {
      if (isFinal(job.status)) {
        return [
          { id: 'retry', label: t('jobs.retry'), icon: 'pi-refresh', action: () => void actions.retry([job]) },
          { id: 'elsewhere', label: t('jobs.retryElsewhere'), icon: 'pi-directions', action: () => void actions.retry([job], true) },
        ]
      }
      const queued = job.status === 'queued' ? undefined : t('jobs.notWaiting')
      return [
        { id: 'first', label: t('jobs.moveFirst'), icon: 'pi-angle-double-up', disabled: queued, action: () => void actions.move(job, null) },
        { id: 'up', label: t('jobs.moreUrgent'), icon: 'pi-arrow-up', action: () => void actions.prioritise(job, 1) },
        { id: 'down', label: t('jobs.lessUrgent'), icon: 'pi-arrow-down', action: () => void actions.prioritise(job, -1) },
        { id: 'cancel', label: t('jobs.cancel'), icon: 'pi-ban', danger: true, action: () => void actions.cancel([job]) },
      ]
    },
  }
  return actions
}
