import { ApiError, messageOf } from '@/api/errors'
import type { OnConflict } from '@/api/library'
import type { Definition, Imported } from '@/api/schemas/library'
import type { Context } from '@/context'
import { showDialog } from '@/ui/dialogs'

import ConflictDialog from './ConflictDialog.vue'
import DefinitionDialog from './DefinitionDialog.vue'
import { fromCanvas, fromFile, isExported, type WorkflowDraft } from './draft'

/**
 * Ask what a workflow exposes and store it. For commands and menus as well as for the view.
 *
 * @returns what was stored, or null when the user gave up.
 */
export async function saveDraft(context: Context, draft: WorkflowDraft, previous: Definition | null = null): Promise<Definition | null> {
  const saved = await showDialog<Definition>(context, DefinitionDialog, { draft, previous })
  if (saved !== null) {
    const { name, version } = saved
    context.host.toast({ severity: 'success', summary: context.t('library.saved', { name, version }), life: 4_000 })
  }
  return saved
}

/** Take what is on the canvas into the library: as a new definition, or as a new version of one. */
export async function takeCanvas(context: Context, previous: Definition | null = null): Promise<Definition | null> {
  const draft = await fromCanvas(context.host, context.client, previous?.name ?? context.t('library.untitled'))
  return saveDraft(context, draft, previous)
}

/** Take files one after the other; what is wrong with one is told and does not keep the others. */
export async function takeFiles(context: Context, files: Iterable<File>): Promise<void> {
  for (const file of files) {
    try {
      const read = await fromFile(context.client, file)
      if (isExported(read)) await takeExported(context, read.exported)
      else await saveDraft(context, read)
    } catch (error) {
      tell(context, file.name, error)
    }
  }
}

/** Tell of a failure where the user looks. */
export function tell(context: Pick<Context, 'host'>, what: string, error: unknown): void {
  context.host.toast({ severity: 'error', summary: what, detail: messageOf(error) })
}

async function takeExported(context: Context, file: File): Promise<void> {
  const { client, host, t } = context
  let taken: Imported
  try {
    taken = await client.library.take(file, file.name, 'refuse')
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error
    const answer = await showDialog<OnConflict>(context, ConflictDialog, { message: error.message })
    if (answer === null) return
    taken = await client.library.take(file, file.name, answer)
  }
  host.toast({ severity: 'success', summary: t('library.taken'), detail: [taken.found, ...taken.warnings].join('\n'), life: 8_000 })
}
