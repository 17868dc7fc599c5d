import type { LibraryApi } from '@/api/library'

import type { EmbeddedDefinition } from './embedding'

/** What can be done about a workflow that a graph brought along and that is another one under its id here. */
export type Resolution = 'mine' | 'theirs' | 'copy'

/**
 * Return which of the workflows that a graph brought along are somebody else's: the library has another one under their
 * id, and never had theirs. An older version of one's own is no news. Each with the id under which the library has the
 * same content, if it has.
 */
export async function foreignAmong(
  library: Pick<LibraryApi, 'versions'>,
  brought: readonly EmbeddedDefinition[],
  used: readonly string[],
): Promise<ReadonlyMap<string, string | null>> {
  const differing = brought.filter(({ id, standing }) => standing === 'differs' && used.includes(id))
  const own = await Promise.all(
    differing.map(async ({ id, content_hash }) => (await library.versions(id)).some((one) => one.content_hash === content_hash)),
  )
  return new Map(differing.filter((_, index) => own[index] === false).map(({ id, same_as }) => [id, same_as]))
}
