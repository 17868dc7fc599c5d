import { ref } from 'vue'

import './style.css'

import { messageOf } from '@/api/errors'
import { isFinal } from '@/api/schemas/jobs'
import type { Context } from '@/context'
import type { Contribution } from '@/extension'
import type { Command, GraphNode, MenuItem } from '@/host/comfy'
import { SIDEBAR_TAB_ID } from '@/sidebar/tab'
import { VIEWS } from '@/views/registry'
import { saveDraft, takeCanvas, tell } from '@/views/library/take'

import { outputsOf, selectedIds, titleOf } from './canvas'
import { createServerSettings } from './serverSettings'
import { cutOut, promptIds, type Prompt } from './selection'
import { showInTopBar, TOP_BAR_SETTING } from './topBar'

const PROJECT = 'https://github.com/comfyui-orchestrator/comfyui-orchestrator'
const SAVE_SELECTION = 'Orchestrator.SaveSelection'
const SAVE_GRAPH = 'Orchestrator.SaveGraph'
const CANCEL_ALL = 'Orchestrator.CancelAll'
const ADD_BACKEND = 'Orchestrator.AddBackend'

/** Commands, menus, keys, settings and the top bar: the orchestrator in ComfyUI's own places. */
export function commands(context: Context): Contribution {
  const { client, host, navigation, store, t } = context
  const server = createServerSettings(context)
  const badge = { label: 'ComfyUI Orchestrator', url: PROJECT, icon: 'pi pi-sitemap' }

  function open(view: string, target: string | null = null): void {
    navigation.target.value = target
    navigation.view.value = view
    navigation.entering.value = true
    host.openSidebarTab(SIDEBAR_TAB_ID)
  }

  async function guarded(act: () => Promise<unknown>): Promise<void> {
    try {
      await act()
    } catch (error) {
      tell(context, t('sidebar.title'), error)
    }
  }

  async function saveSelection(besides?: GraphNode): Promise<void> {
    const ids = selectedIds(host, besides)
    if (ids.length === 0 || host.app.graphToPrompt === undefined) {
      host.toast({ severity: 'info', summary: t('commands.nothingSelected'), life: 4_000 })
      return
    }
    const whole = (await host.app.graphToPrompt()).output as Prompt
    const prompt = cutOut(whole, promptIds(whole, ids), outputsOf(host))
    const inspection = await client.library.inspect(prompt)
    const name = titleOf(host, ids) ?? t('library.untitled')
    await saveDraft(context, { name, prompt, workflow: null, inspection, warnings: [] })
  }

  async function cancelAll(): Promise<void> {
    const jobs = [...store.state.value.jobs.values()].filter(({ job }) => !isFinal(job.status)).map(({ job }) => job.id)
    if (jobs.length === 0) {
      host.toast({ severity: 'info', summary: t('commands.nothingToCancel'), life: 4_000 })
      return
    }
    const title = t('commands.cancelAll')
    if (!(await host.confirm(title, t.plural('commands.cancelConfirm', jobs.length)))) return
    const answers = await Promise.allSettled(jobs.map((id) => client.jobs.cancel(id)))
    const refused = answers.find((answer) => answer.status === 'rejected')
    if (refused) host.toast({ severity: 'error', summary: title, detail: messageOf(refused.reason) })
    else host.toast({ severity: 'info', summary: t.plural('commands.cancelled', jobs.length), life: 4_000 })
  }

  const list: Command[] = [
    ...VIEWS.map(({ id, title, icon }) => ({
      id: openCommand(id),
      label: () => t('commands.open', { view: t(title) }),
      icon: `pi ${icon}`,
      function: () => open(id),
    })),
    { id: ADD_BACKEND, label: () => t('commands.addBackend'), icon: 'pi pi-plus', function: () => open('backends', 'add') },
    {
      id: SAVE_GRAPH,
      label: () => t('commands.saveGraph'),
      icon: 'pi pi-book',
      function: () => guarded(() => takeCanvas(context)),
    },
    {
      id: SAVE_SELECTION,
      label: () => t('commands.saveSelection'),
      icon: 'pi pi-book',
      function: () => guarded(() => saveSelection()),
    },
    {
      id: CANCEL_ALL,
      label: () => t('commands.cancelAll'),
      icon: 'pi pi-times-circle',
      function: () => guarded(cancelAll),
    },
  ]

  const topBarWanted = ref(true)

  return {
    commands: list,
    menuCommands: [{ path: ['Orchestrator'], commands: list.map(({ id }) => id) }],
    keybindings: [
      { commandId: openCommand('backends'), combo: { key: 'o', alt: true, shift: true } },
      { commandId: SAVE_SELECTION, combo: { key: 's', alt: true, shift: true } },
    ],
    settings: [
      {
        id: TOP_BAR_SETTING,
        name: 'Show backends and jobs in the top bar',
        category: ['Orchestrator', 'Appearance', 'TopBar'],
        type: 'boolean',
        defaultValue: true,
        onChange: (value) => (topBarWanted.value = value !== false),
      },
      ...server.settings,
    ],
    aboutPageBadges: [badge],
    setup() {
      topBarWanted.value = host.setting(TOP_BAR_SETTING) !== false
      showInTopBar(context, topBarWanted)
      // A server that does not orchestrate has none; the sidebar tells why.
      void server.load().catch(() => undefined)
      void client.system.status().then(
        ({ version }) => (badge.label = `ComfyUI Orchestrator ${version}`),
        () => undefined, // the badge stands without a version
      )
    },
    getSelectionToolboxCommands: () => [SAVE_SELECTION],
    getNodeMenuItems: (node): MenuItem[] => [
      { content: t('commands.saveSelection'), callback: () => void guarded(() => saveSelection(node)) },
    ],
    // The menu that Nodes 2.0 has for several nodes takes nothing from extensions: the canvas offers it, too.
    getCanvasMenuItems: (): MenuItem[] => [
      ...(selectedIds(host).length > 0
        ? [{ content: t('commands.saveSelected'), callback: () => void guarded(() => saveSelection()) }]
        : []),
      { content: t('commands.saveGraph'), callback: () => void guarded(() => takeCanvas(context)) },
    ],
  }
}

function openCommand(view: string): string {
  return `Orchestrator.Open.${view}`
}
