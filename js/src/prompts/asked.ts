import { computed, shallowRef, watch, type ComputedRef, type ShallowRef } from 'vue'

import { messageOf } from '@/api/errors'
import { segment } from '@/api/http'
import { Done } from '@/api/schemas/system'
import type { Context } from '@/context'

import { ANSWERS, grouped, QuestionList, timed, type Answer, type QuestionGroup, type TimedQuestion } from './questions'

/** The questions that wait for this user, live. */
export interface Asked {
  readonly groups: ComputedRef<readonly QuestionGroup[]>
  readonly answers: Readonly<ShallowRef<readonly Answer[]>>
  /** Groups that an answer is being sent for, by key. */
  readonly busy: Readonly<ShallowRef<ReadonlySet<string>>>
  answer(group: QuestionGroup, answer: Answer): Promise<void>
  stop(): void
}

/**
 * Follow the jobs that wait for a decision. Which they are, the store tells; what there is to say of them is asked for
 * whenever that changes. A question that is answered elsewhere, or by the clock, is gone by the same way.
 */
export function createAsked({ client, host, store, t }: Context, now: () => number = () => performance.now()): Asked {
  const questions = shallowRef<readonly TimedQuestion[]>([])
  const answers = shallowRef<readonly Answer[]>([])
  const busy = shallowRef<ReadonlySet<string>>(new Set())
  const waiting = computed(() => {
    const ids: string[] = []
    for (const { job } of store.state.value.jobs.values()) if (job.status === 'waiting') ids.push(job.id)
    return ids.sort().join(' ')
  })
  const groups = computed(() => {
    const open = new Set(waiting.value.split(' '))
    return grouped(questions.value.filter(({ job }) => open.has(job.id)))
  })
  let number = 0

  async function ask(): Promise<void> {
    const mine = ++number
    try {
      const listed = await client.http.get(QuestionList, '/questions')
      if (mine !== number) return
      answers.value = ANSWERS.filter((answer) => listed.choices.includes(answer))
      questions.value = timed(listed.questions, now())
    } catch (error) {
      console.warn('[Orchestrator] the questions could not be read', error)
    }
  }

  const stop = watch(
    waiting,
    (ids) => {
      if (ids !== '') void ask()
      else questions.value = []
    },
    { immediate: true },
  )

  return {
    groups,
    answers,
    busy,
    async answer(group, answer) {
      busy.value = new Set([...busy.value, group.key])
      const sent = group.jobs.map((id) => client.http.send(Done, 'POST', `/jobs/${segment(id)}/decision`, { decision: answer }))
      const refused = (await Promise.allSettled(sent)).filter((one) => one.status === 'rejected')
      busy.value = new Set([...busy.value].filter((key) => key !== group.key))
      const reason: unknown = refused[0]?.reason
      // Somebody else, or the clock, may have been faster: that is news only if the question is still there.
      if (reason !== undefined && groups.value.some(({ key }) => key === group.key)) {
        host.toast({ severity: 'error', summary: t('prompts.refused'), detail: messageOf(reason) })
      }
      await ask()
    },
    stop,
  }
}
