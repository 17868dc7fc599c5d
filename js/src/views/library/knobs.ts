import type { Knobs } from '@/api/schemas/library'

import { joinTags, splitTags } from './tags'

export const ON_FAILURE = ['fail', 'drop', 'ask'] as const

/** Knobs as they stand in a form. What is empty the settings decide; a number field gives a number once it is typed into. */
export interface KnobForm {
  onFailure: string
  attempts: string | number
  timeLimit: string | number
  cache: string
  prefer: string
}

/** A field of the form that holds what no job can be run with. */
export type KnobFault = 'attempts' | 'timeLimit'

const MOST_ATTEMPTS = 100
const LONGEST_S = 30 * 86_400

export function formOf(knobs: Knobs): KnobForm {
  return {
    onFailure: knobs.on_failure ?? '',
    attempts: knobs.attempts ?? '',
    timeLimit: knobs.time_limit_s ?? '',
    cache: knobs.cache === null ? '' : String(knobs.cache),
    prefer: joinTags(knobs.prefer ?? []),
  }
}

export function faultsOf(form: KnobForm): ReadonlySet<KnobFault> {
  const faults = new Set<KnobFault>()
  const attempts = numberOf(form.attempts)
  const timeLimit = numberOf(form.timeLimit)
  if (attempts !== null && !(Number.isInteger(attempts) && attempts >= 1 && attempts <= MOST_ATTEMPTS)) faults.add('attempts')
  if (timeLimit !== null && !(timeLimit >= 1 && timeLimit <= LONGEST_S)) faults.add('timeLimit')
  return faults
}

/** Return what the form says, or null where it says what was there: then nothing is to be stored. */
export function changedKnobs(form: KnobForm, before: Knobs): Knobs | null {
  const unchanged = formOf(before)
  if (Object.entries(form).every(([key, value]) => String(value) === String(unchanged[key as keyof KnobForm]))) return null
  const prefer = splitTags(form.prefer)
  return {
    on_failure: form.onFailure || null,
    attempts: numberOf(form.attempts),
    time_limit_s: numberOf(form.timeLimit),
    cache: form.cache === '' ? null : form.cache === 'true',
    // A name may contain what separates them here: those that nobody touched stay as they are.
    prefer: form.prefer === unchanged.prefer ? before.prefer : prefer.length > 0 ? prefer : null,
  }
}

function numberOf(value: string | number): number | null {
  return value === '' ? null : Number(value)
}
