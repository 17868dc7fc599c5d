import type { Backend } from '@/api/schemas/backends'

/** What a node's `backend` may say, as the server lists it: anywhere, one by its name, all with a tag, or one of these first. */
export function backendChoices(backends: Iterable<Pick<Backend, 'name' | 'tags'>>): string[] {
  const all = [...backends]
  const tags = [...new Set(all.flatMap((backend) => backend.tags))].sort()
  const named = [...all.map(({ name }) => name), ...tags.map((tag) => `tag:${tag}`)]
  return ['auto', ...named, ...named.map((one) => `prefer:${one}`)]
}
