import { describe, expect, it, vi } from 'vitest'

import { createClient } from '@/api/client'
import { createServerSettings } from '@/commands/serverSettings'
import type { Context } from '@/context'
import { createTranslate } from '@/i18n/translate'

import { fakeHost } from '../support/fakeHost'

function start() {
  const stored: Record<string, unknown> = { 'Orchestrator.DecisionLimit': 60 }
  const fake = fakeHost(stored)
  const server = { decision_limit_s: 90, placement_wait_s: 60, stall_limit_s: 600 }
  const sent: unknown[] = []
  const answer = () => ({ settings: server, ranges: { decision_limit_s: { least: 1, most: 3600 } } })
  fake.answer('GET /settings', answer)
  fake.answer('PATCH /settings', (init) => {
    const body = JSON.parse(String(init.body)) as object
    sent.push(body)
    Object.assign(server, body)
    return answer()
  })
  const client = createClient((route, init) => fake.api.fetchApi(route, init))
  const panel = createServerSettings({ host: fake.host, client, t: createTranslate(() => 'en') } as Context)
  const limit = panel.settings.find(({ id }) => id === 'Orchestrator.DecisionLimit')
  return { ...fake, panel, sent, stored, change: (value: unknown) => limit?.onChange?.(value) }
}

describe('settings of the server', () => {
  it('are shown as the server has them, and what ComfyUI remembered is not sent', async () => {
    const { panel, sent, stored, change } = start()
    change(60) // the host calls back at its start
    await panel.load()
    expect(stored['Orchestrator.DecisionLimit']).toBe(90)
    change(90)
    expect(sent).toEqual([])
  })

  it('are sent when the user changes them, within their bounds', async () => {
    const { panel, sent, stored, change } = start()
    await panel.load()
    change(9999)
    await vi.waitFor(() => expect(stored['Orchestrator.DecisionLimit']).toBe(3600))
    expect(sent).toEqual([{ decision_limit_s: 3600 }])
  })

  it('go back where the server refuses', async () => {
    const { panel, answer, toasts, stored, change } = start()
    await panel.load()
    answer('PATCH /settings', () => Response.json({ error: { code: 'x', message: 'no' } }, { status: 422 }))
    stored['Orchestrator.DecisionLimit'] = 5
    change(5)
    await vi.waitFor(() => expect(stored['Orchestrator.DecisionLimit']).toBe(90))
    expect(toasts).toHaveLength(1)
  })
})
