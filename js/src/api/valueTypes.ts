import types from './valueTypes.json'

/**
 * ComfyUI's types as the server sorts them by how their values travel (`comfy_orchestrator_nodes/domain`); a test of the
 * server holds the list to its own.
 */

/** They travel as files that ComfyUI's own nodes load and save, so that one can be picked for them. */
export const FILE_TYPES: ReadonlySet<string> = new Set(types.file)

/** They are built of tensors and JSON; only servers with the pack carry them. */
export const TENSOR_TYPES: ReadonlySet<string> = new Set(types.tensor)

/** The three kinds whose values are stored: a link brings them, and no constant says them. */
const STORED_TYPES: ReadonlySet<string> = new Set([...types.file, ...types.tensor, ...types.object])

const SCALAR_TYPES: ReadonlySet<string> = new Set(types.scalar)

export function isStored(type: string): boolean {
  return STORED_TYPES.has(type)
}

/** Whether values of this type can leave one server for another. */
export function canTravel(type: string): boolean {
  return isStored(type) || SCALAR_TYPES.has(type)
}
