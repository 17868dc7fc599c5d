import type { Client } from '@/api/client'
import type { Inspection } from '@/api/schemas/library'
import type { Host } from '@/host/host'

/** A workflow on its way into the library. */
export interface WorkflowDraft {
  readonly name: string
  readonly prompt: Readonly<Record<string, unknown>>
  readonly workflow: Readonly<Record<string, unknown>> | null
  readonly inspection: Inspection
  readonly warnings: readonly string[]
}

/** A file that holds exported definitions, which are stored as they are. */
export interface ExportedFile {
  readonly exported: File
}

/** The format is the very first thing in an exported file. */
const EXPORTED = /^\s*\{\s*"format"\s*:\s*"comfyui-orchestrator\/definitions"/u
const HEAD_BYTES = 256

/**
 * Take what is on the canvas as the front end itself would queue it.
 *
 * @throws ApiError when nothing on it can be run.
 */
export async function fromCanvas(host: Host, client: Client, name: string): Promise<WorkflowDraft> {
  if (host.app.graphToPrompt === undefined) throw new Error('The canvas is not ready yet.')
  const { output, workflow } = await host.app.graphToPrompt()
  const prompt = isRecord(output) ? output : {}
  return {
    name,
    prompt,
    workflow: isRecord(workflow) ? workflow : null,
    inspection: await client.library.inspect(prompt),
    warnings: [],
  }
}

/** Look into a file: a workflow of any kind, or what another library exported. */
export async function fromFile(client: Client, file: File): Promise<WorkflowDraft | ExportedFile> {
  if (EXPORTED.test(await file.slice(0, HEAD_BYTES).text())) return { exported: file }
  const { found, inspection, prompt, warnings, workflow } = await client.library.read(file, file.name)
  return { name: file.name.replace(/\.[^.]*$/u, ''), prompt, workflow, inspection, warnings: [found, ...warnings] }
}

export function isExported(read: WorkflowDraft | ExportedFile): read is ExportedFile {
  return 'exported' in read
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
