import type { ComfyExtension } from '@/host/comfy'

/** What one feature adds to the extension: any of its hooks and lists. */
export type Contribution = Omit<ComfyExtension, 'name'>

type Hook = (...args: unknown[]) => unknown

/** Hooks whose results belong together: lists are joined, tables merged. */
const COLLECTED = new Set(['getSelectionToolboxCommands', 'getNodeMenuItems', 'getCanvasMenuItems', 'getCustomWidgets'])

/**
 * Make one extension of what several features contribute, because the host knows an extension by its name and wants
 * each name once. Lists are joined; hooks are called one after the other, and one that throws does not keep the others
 * from their turn.
 */
export function compose(name: string, contributions: readonly Contribution[]): ComfyExtension {
  const lists = new Map<string, unknown[]>()
  const hooks = new Map<string, Hook[]>()
  for (const contribution of contributions) {
    for (const [key, value] of Object.entries(contribution)) {
      if (Array.isArray(value)) lists.set(key, [...(lists.get(key) ?? []), ...(value as unknown[])])
      else if (typeof value === 'function') hooks.set(key, [...(hooks.get(key) ?? []), value as Hook])
    }
  }
  const extension: Record<string, unknown> = { name }
  for (const [key, list] of lists) extension[key] = list
  for (const [key, chain] of hooks) extension[key] = COLLECTED.has(key) ? collecting(key, chain) : calling(key, chain)
  return extension as unknown as ComfyExtension
}

function calling(key: string, chain: readonly Hook[]): Hook {
  return (...args) => {
    const pending: Promise<unknown>[] = []
    for (const hook of chain) {
      const result = guarded(key, () => hook(...args))
      if (result instanceof Promise) pending.push(result.catch((error: unknown) => tell(key, error)))
    }
    return pending.length > 0 ? Promise.all(pending).then(() => undefined) : undefined
  }
}

function collecting(key: string, chain: readonly Hook[]): Hook {
  return (...args) => {
    const results = chain.map((hook) => guarded(key, () => hook(...args)))
    if (key === 'getCustomWidgets') return Promise.all(results).then((tables) => Object.assign({}, ...tables) as object)
    return results.flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []))
  }
}

function guarded(key: string, call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    tell(key, error)
    return undefined
  }
}

function tell(key: string, error: unknown): void {
  console.error(`[Orchestrator] ${key} failed`, error)
}
