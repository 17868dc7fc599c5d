import './style.css'

import { createApp, watch } from 'vue'

import { CONTEXT, type Context } from '@/context'
import type { Contribution } from '@/extension'

import { createAsked } from './asked'
import FailoverPrompt from './FailoverPrompt.vue'

const TOAST_MS = 8_000

export const ANSWER_COMMAND = 'Orchestrator.Answer'

/** Asks the user what to do about jobs whose attempts are used up. */
export function prompts(context: Context): Contribution {
  const { host, t } = context
  let focus: () => void = () => undefined

  return {
    commands: [
      { id: ANSWER_COMMAND, label: t('commands.answer'), icon: 'pi pi-question-circle', function: () => focus() },
    ],
    keybindings: [{ commandId: ANSWER_COMMAND, combo: { key: 'q', alt: true, shift: true } }],
    setup() {
      const asked = createAsked(context)
      const root = document.createElement('div')
      document.body.append(root)
      const app = createApp(FailoverPrompt, { asked })
      app.provide(CONTEXT, context)
      const shown = app.mount(root) as unknown as { focus(): void }
      focus = () => shown.focus()

      const told = new Set<string>()
      watch(asked.groups, (groups) => {
        for (const { key, definition, jobs, message } of groups) {
          if (!told.has(key)) {
            const summary = t.plural('prompts.asks', jobs.length, { name: definition })
            host.toast({ severity: 'warn', summary, detail: message, life: TOAST_MS })
          }
          told.add(key)
        }
        for (const key of told) if (!groups.some((group) => group.key === key)) told.delete(key)
      })
    },
  }
}
