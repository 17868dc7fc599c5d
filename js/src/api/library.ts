import type { Http, SendOptions } from './http'
import { segment } from './http'
import {
  Definition,
  DefinitionList,
  DefinitionSummary,
  Draft,
  Imported,
  Inspection,
  type Knobs,
  type Output,
  type Parameter,
  Preflight,
  Thumbnails,
  Uses,
} from './schemas/library'
import { Done } from './schemas/system'

/** What a version is made of. */
export interface DefinitionContent {
  readonly prompt: Readonly<Record<string, unknown>>
  readonly workflow: Readonly<Record<string, unknown>> | null
  readonly parameters: readonly Parameter[]
  readonly outputs: readonly Output[]
}

/** What a definition is called. */
export interface DefinitionDescription {
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
}

/** What becomes of exported definitions whose id is taken by other content here. */
export type OnConflict = 'refuse' | 'new_version' | 'new_id'

export function libraryApi(http: Http) {
  const at = (id: string, rest = '') => `/definitions/${segment(id)}${rest}`
  return {
    list: async (options?: SendOptions) => (await http.get(DefinitionList, '/definitions', {}, options)).definitions,
    /** Addresses of thumbnails by definition id, relative to the server. */
    thumbnails: async () => (await http.get(Thumbnails, '/thumbnails')).thumbnails,
    get: (id: string, version?: number) => http.get(Definition, at(id), { version, workflow: true }),
    create: (what: DefinitionDescription & DefinitionContent) => http.send(Definition, 'POST', '/definitions', what),
    saveVersion: (id: string, what: DefinitionDescription & DefinitionContent) => http.send(Definition, 'PUT', at(id), what),
    describe: (id: string, what: Partial<DefinitionDescription> & { knobs?: Knobs }) => http.send(DefinitionSummary, 'PATCH', at(id), what),
    remove: (id: string, force: boolean, options?: SendOptions) =>
      http.send(Done, 'DELETE', `${at(id)}${force ? '?force=true' : ''}`, {}, options),
    versions: async (id: string) => (await http.get(DefinitionList, at(id, '/versions'))).definitions,
    rollBack: (id: string, version: number) => http.send(DefinitionSummary, 'POST', at(id, '/roll-back'), { version }),
    duplicate: (id: string) => http.send(DefinitionSummary, 'POST', at(id, '/duplicate')),
    uses: (id: string) => http.get(Uses, at(id, '/uses')),
    preflight: (id: string) => http.get(Preflight, at(id, '/preflight')),
    /** Find what can be exposed of a prompt in API format. Nothing is stored. */
    inspect: (prompt: Readonly<Record<string, unknown>>) => http.send(Inspection, 'POST', '/definitions/inspect', { prompt }),
    /** Look into a file that holds a workflow, of any kind and age. Nothing is stored. What is in it may be stored as it is. */
    read: (file: Blob, filename: string) =>
      http.upload(Draft, 'POST', '/definitions/read', file, { query: { filename }, exact: true }),
    /** Store definitions that another library exported. */
    take: (file: Blob, filename: string, onConflict: OnConflict) =>
      http.upload(Imported, 'POST', '/definitions/import', file, { query: { filename, on_conflict: onConflict } }),
    /** Where the exported file of a definition is, relative to the server. */
    exportUrl: (id: string) => `/orchestrator${at(id, '/export')}`,
  }
}

export type LibraryApi = ReturnType<typeof libraryApi>
