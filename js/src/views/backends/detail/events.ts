import type { Backend } from '@/api/schemas/backends'
import type { BackendEvent } from '@/api/schemas/history'
import { formatTime } from '@/i18n/format'
import type { TextKey, Translate } from '@/i18n/translate'

import type { Tone } from '../describe'

/** What happened to a backend in words and colours. Pure. */

const KINDS: Readonly<Record<string, readonly [TextKey, Tone]>> = {
  online: ['backends.events.online', 'good'],
  degraded: ['backends.events.degraded', 'warn'],
  suspended: ['backends.events.suspended', 'warn'],
  offline: ['backends.events.offline', 'bad'],
  draining: ['backends.events.draining', 'neutral'],
  resumed: ['backends.events.resumed', 'neutral'],
  disabled: ['backends.events.disabled', 'neutral'],
  enabled: ['backends.events.enabled', 'neutral'],
  agent_found: ['backends.events.agentFound', 'good'],
  agent_refused: ['backends.events.agentRefused', 'warn'],
  agent_gone: ['backends.events.agentGone', 'neutral'],
  restarted: ['backends.events.restarted', 'neutral'],
}

/** What happened; a kind of a newer server as it is. */
export function eventText({ kind }: BackendEvent, t: Translate): string {
  const known = KINDS[kind]
  return known === undefined ? kind : t(known[0])
}

export function eventTone({ kind }: BackendEvent): Tone {
  return KINDS[kind]?.[1] ?? 'neutral'
}

/** Why, and until when. */
export function reasonText({ kind, reason, until }: BackendEvent, now: number, t: Translate): string {
  const why = kind === 'agent_found' && reason !== '' ? t('backends.events.version', { version: reason }) : reason
  const end = until === null ? '' : t('backends.events.until', { time: formatTime(until, now, t.language()) })
  return [why, end].filter((text) => text !== '').join(' · ')
}

/** What changes whenever a backend has a new event, as far as the page hears of it. */
export function happened({ status, since, enabled, draining, suspended_until: until, capabilities }: Backend): string {
  const agent = capabilities?.agent
  return JSON.stringify([status, since, enabled, draining, until, capabilities?.taken_at, agent?.version, agent?.problem])
}
