import './style.css'

import { watch } from 'vue'

import { messageOf } from '@/api/errors'
import type { Context } from '@/context'
import type { Contribution } from '@/extension'
import type { ComfyApp, GraphNode } from '@/host/comfy'

import { backendChoices } from './backendChoices'
import { REMOTE_WORKFLOW } from './carried'
import { createEmbedding } from './embedding'
import { ExpressionCheck } from './expression'
import { CONDITION, GROWING, GrowingNode } from './growing'
import { createInputFiles } from './files'
import { createLibrary } from './library'
import { chain, type CanvasNode } from './litegraph'
import { RemoteWorkflowNode, type Surroundings } from './remoteWorkflow'
import type { WidgetMaker } from './parameterWidgets'

/** How long the first graph may wait for the library; nodes find their way without it, too. */
const LIBRARY_PATIENCE_MS = 1_500

/** Nodes on the canvas that are more than their class declares. */
export function nodes(context: Context): Contribution {
  const { host, t } = context
  const library = createLibrary(context)
  const configuring = () => host.app.configuringGraph === true
  const files = createInputFiles(host)
  const live = new Set<RemoteWorkflowNode>()
  const embedding = createEmbedding(context, library, {
    refresh: () => live.forEach((node) => node.refresh()),
    switchTo(from, to) {
      for (const node of live) if (node.workflow === from) node.switchTo(to)
    },
  })
  const around: Surroundings = {
    app: host.app as ComfyApp & WidgetMaker,
    library,
    files,
    backends: () => {
      const { backends } = context.store.state.value
      return backends.size === 0 ? null : backendChoices(backends.values())
    },
    t,
    failed: (error) => host.toast({ severity: 'error', summary: t('nodes.upload'), detail: messageOf(error) }),
    configuring,
    embeds: (id) => embedding.embeds(id),
    importEmbedded: (id) => embedding.importOne(id),
    foreign: (id) => embedding.foreign(id),
    resolve: (id, resolution) => embedding.resolve(id, resolution),
    changed: () => embedding.changed(),
    queueing: () => embedding.entitle(),
  }
  library.subscribe(() => {
    live.forEach((node) => node.refresh())
    embedding.changed()
  })

  // Which backends there are, and which of them can be asked for their choices.
  watch(
    () => [...context.store.state.value.backends.values()].map(({ name, tags, status }) => [name, ...tags, status].join(' ')).join(','),
    () => {
      library.forgetOffers()
      live.forEach((node) => node.refresh())
    },
  )
  host.on('progress_text', (detail) => {
    const id = (detail as { nodeId?: unknown } | undefined)?.nodeId
    // Inside of subgraphs the id is a path.
    const own = typeof id === 'string' ? id.slice(id.lastIndexOf(':') + 1) : undefined
    for (const node of live) if (String(node.node.id) === own) node.progressed()
  })

  return {
    async init() {
      const patience = new Promise<void>((done) => setTimeout(done, LIBRARY_PATIENCE_MS))
      await Promise.race([Promise.all([library.reload(), files.reload()]), patience])
    },
    afterConfigureGraph: () => embedding.loaded(),
    nodeCreated(created: GraphNode) {
      const node = created as CanvasNode
      const growing = GROWING[node.comfyClass ?? '']
      if (growing !== undefined) new GrowingNode(node, growing, configuring)
      if (node.comfyClass === CONDITION) new ExpressionCheck(node, context)
      if (node.comfyClass !== REMOTE_WORKFLOW) return
      const own = new RemoteWorkflowNode(node, around)
      live.add(own)
      chain(node, 'onRemoved', () => live.delete(own))
    },
  }
}
