import * as v from 'valibot'

import { messageOf } from '@/api/errors'
import type { Context } from '@/context'
import type { Setting } from '@/host/comfy'

/** The server's settings that ComfyUI's dialog offers, by their names there. They are the server's, for all its users. */
const OFFERED = ['decision_limit_s', 'placement_wait_s', 'stall_limit_s'] as const
type Name = (typeof OFFERED)[number]

const ServerSettings = v.object({
  settings: v.object({ decision_limit_s: v.number(), placement_wait_s: v.number(), stall_limit_s: v.number() }),
  ranges: v.record(v.string(), v.object({ least: v.number(), most: v.number() })),
})

const IDS: Readonly<Record<Name, string>> = {
  decision_limit_s: 'Orchestrator.DecisionLimit',
  placement_wait_s: 'Orchestrator.PlacementWait',
  stall_limit_s: 'Orchestrator.StallLimit',
}

const TEXTS: Readonly<Record<Name, { readonly name: string; readonly tooltip: string; readonly usual: number }>> = {
  decision_limit_s: {
    name: 'Seconds a job waits for an answer',
    tooltip: 'A job that asks what to do fails when nobody answers in this time. The queue waits meanwhile.',
    usual: 60,
  },
  placement_wait_s: {
    name: 'Seconds a job waits for a backend',
    tooltip: 'How long a job waits when every backend that could run it is away.',
    usual: 60,
  },
  stall_limit_s: {
    name: 'Seconds a running job may be silent',
    tooltip: 'After this time without a word a job is taken off its backend and tried again.',
    usual: 600,
  },
}

export interface ServerSettingsPanel {
  readonly settings: readonly Setting[]
  /** Show what the server has. */
  load(): Promise<void>
}

/**
 * Offer settings of the server in ComfyUI's own dialog, which remembers values of its own: the server's are written into
 * it at the start, and only what the user changes there is sent.
 */
export function createServerSettings({ client, host, t }: Context): ServerSettingsPanel {
  /** What the server has, as last heard; empty before that, and then nothing is sent. */
  const known = new Map<Name, number>()
  let ranges: Readonly<Record<string, { readonly least: number; readonly most: number }>> = {}

  async function change(name: Name, wanted: unknown): Promise<void> {
    const current = known.get(name)
    if (typeof wanted !== 'number' || current === undefined || wanted === current) return
    const { least = wanted, most = wanted } = ranges[name] ?? {}
    const value = Math.min(most, Math.max(least, wanted))
    known.set(name, value)
    try {
      take(await client.http.send(ServerSettings, 'PATCH', '/settings', { [name]: value }))
    } catch (error) {
      known.set(name, current)
      host.toast({ severity: 'error', summary: t('commands.settingRefused'), detail: messageOf(error) })
    }
    if (host.setting(IDS[name]) !== known.get(name)) host.setSetting(IDS[name], known.get(name))
  }

  function take(answer: v.InferOutput<typeof ServerSettings>): void {
    ranges = answer.ranges
    for (const name of OFFERED) known.set(name, answer.settings[name])
  }

  return {
    settings: OFFERED.map((name) => ({
      id: IDS[name],
      name: TEXTS[name].name,
      tooltip: TEXTS[name].tooltip,
      category: ['Orchestrator', 'Server', IDS[name]],
      type: 'number',
      defaultValue: TEXTS[name].usual,
      onChange: (value: unknown) => void change(name, value),
    })),
    async load() {
      take(await client.http.get(ServerSettings, '/settings'))
      for (const name of OFFERED) {
        if (host.setting(IDS[name]) !== known.get(name)) host.setSetting(IDS[name], known.get(name))
      }
    },
  }
}
