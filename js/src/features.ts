import { commands } from './commands'
import type { Context } from './context'
import type { Contribution } from './extension'
import { nodes } from './nodes'
import { prompts } from './prompts'
import { sidebar } from './sidebar/tab'

/** A part of the product that adds hooks, commands, settings or tabs to the extension. */
export type Feature = (context: Context) => Contribution

/** Every feature, in the order in which its hooks are called. */
export const FEATURES: readonly Feature[] = [sidebar, nodes, prompts, commands]
