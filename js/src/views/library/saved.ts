import * as v from 'valibot'

import { Unreachable } from '@/api/errors'
import type { Host } from '@/host/host'

const Listed = v.array(v.string())

/** List the workflows that ComfyUI has saved for its user, by their paths below the folder of workflows. */
export async function listSaved(host: Host): Promise<readonly string[]> {
  const answer = await host.api.fetchApi('/userdata?dir=workflows&recurse=true')
  if (answer.status === 404) return [] // nothing was ever saved
  if (!answer.ok) throw new Unreachable(`ComfyUI does not list its saved workflows (status ${answer.status}).`)
  return v
    .parse(Listed, await answer.json())
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.replaceAll('\\', '/'))
    .sort((a, b) => a.localeCompare(b))
}

/** Read one of them as a file. */
export async function readSaved(host: Host, path: string): Promise<File> {
  const answer = await host.api.fetchApi(`/userdata/${encodeURIComponent(`workflows/${path}`)}`)
  if (!answer.ok) throw new Unreachable(`ComfyUI does not give the workflow ${path} (status ${answer.status}).`)
  return new File([await answer.blob()], path.split('/').at(-1) ?? path, { type: 'application/json' })
}
