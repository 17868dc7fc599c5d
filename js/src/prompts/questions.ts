import * as v from 'valibot'

import { Failure, JobSummary } from '@/api/schemas/jobs'

const Attempt = v.object({ number: v.number(), backend: v.string(), failure: v.nullable(Failure) })

const Question = v.object({
  job: JobSummary,
  definition_name: v.string(),
  attempts: v.array(Attempt),
  remaining_s: v.number(),
})

export const QuestionList = v.object({ questions: v.array(Question), choices: v.array(v.string()) })

export type Question = v.InferOutput<typeof Question>

/** A question with the moment of this page's own clock at which the server decides it, milliseconds. */
export interface TimedQuestion extends Question {
  readonly dueAt: number
}

/** Questions that have one cause, and that one answer will mostly do for. */
export interface QuestionGroup {
  readonly key: string
  readonly definition: string
  readonly cause: string
  readonly message: string
  readonly backends: readonly string[]
  readonly jobs: readonly string[]
  /** When the first of them is decided. */
  readonly dueAt: number
}

/** What the page can offer to answer, in its order; the server says which of them it takes. */
export const ANSWERS = ['retry', 'retry_elsewhere', 'drop', 'fail'] as const
export type Answer = (typeof ANSWERS)[number]

export function timed(questions: readonly Question[], now: number): TimedQuestion[] {
  return questions.map((question) => ({ ...question, dueAt: now + question.remaining_s * 1000 }))
}

/** Put questions together that are about the same workflow and failed alike, the most urgent group first. */
export function grouped(questions: readonly TimedQuestion[]): QuestionGroup[] {
  const groups = new Map<string, TimedQuestion[]>()
  for (const question of questions) {
    const key = JSON.stringify([question.job.definition, lastFailure(question)?.cause ?? ''])
    groups.set(key, [...(groups.get(key) ?? []), question])
  }
  return [...groups]
    .map(([key, members]): QuestionGroup => {
      const [first] = members as [TimedQuestion]
      const failure = lastFailure(first)
      return {
        key,
        definition: first.definition_name,
        cause: failure?.cause ?? '',
        message: failure?.message ?? '',
        backends: [...new Set(members.flatMap(({ attempts }) => attempts.map(({ backend }) => backend)))],
        jobs: members.map(({ job }) => job.id),
        dueAt: Math.min(...members.map(({ dueAt }) => dueAt)),
      }
    })
    .sort((one, other) => one.dueAt - other.dueAt)
}

/** Whole seconds that are left, never less than none. */
export function secondsLeft(dueAt: number, now: number): number {
  return Math.max(0, Math.ceil((dueAt - now) / 1000))
}

function lastFailure({ attempts }: Question) {
  return attempts.findLast(({ failure }) => failure !== null)?.failure ?? null
}
