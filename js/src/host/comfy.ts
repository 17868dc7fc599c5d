/**
 * The part of ComfyUI's front end that this extension uses, as front ends 1.27 to 1.58 offer it. What only some of them
 * have is optional. No other module names the host's objects by more than these types.
 */

export interface ComfyApi extends EventTarget {
  /** The id of this tab's socket, known once the server has greeted it. */
  readonly clientId?: string | null
  readonly initialClientId?: string | null
  fetchApi(route: string, options?: RequestInit): Promise<Response>
  /** The address of a route of the server, below whatever prefix the host itself is served. */
  apiURL(route: string): string
  fileURL(route: string): string
}

export interface ToastMessage {
  readonly severity: 'success' | 'info' | 'warn' | 'error'
  readonly summary: string
  readonly detail?: string
  /** How long it stays, milliseconds; until closed if left out. */
  readonly life?: number
}

export interface SidebarTab {
  readonly id: string
  readonly type: 'custom'
  readonly title: string
  readonly icon: string
  readonly tooltip?: string
  readonly label?: string
  /** May be called again with the same element or a new one before `destroy`. */
  render(container: HTMLElement): void
  destroy?(): void
}

export interface ExtensionManager {
  registerSidebarTab(tab: SidebarTab): void
  readonly sidebarTab?: {
    readonly activeSidebarTabId?: string | null
    toggleSidebarTab?(id: string): void
  }
  readonly toast?: { add(message: ToastMessage): void }
  readonly setting?: {
    get(id: string): unknown
    set(id: string, value: unknown): unknown
  }
  readonly command?: { execute(id: string): unknown }
  readonly dialog?: {
    prompt?(options: { title: string; message: string; defaultValue?: string }): Promise<string | null>
    confirm?(options: { title: string; message: string; type?: string }): Promise<boolean | null>
  }
}

export interface Command {
  readonly id: string
  readonly label: string | (() => string)
  readonly icon?: string
  readonly tooltip?: string
  function(): void | Promise<void>
}

export interface Keybinding {
  readonly commandId: string
  readonly combo: { readonly key: string; readonly ctrl?: boolean; readonly alt?: boolean; readonly shift?: boolean }
}

export interface Setting {
  readonly id: string
  readonly name: string
  readonly type: 'boolean' | 'number' | 'slider' | 'combo' | 'text' | 'hidden'
  readonly defaultValue: unknown
  readonly category?: readonly string[]
  readonly tooltip?: string
  readonly options?: readonly (string | { readonly text: string; readonly value: string | number })[]
  readonly attrs?: Readonly<Record<string, unknown>>
  onChange?(value: unknown, previous?: unknown): void
}

export interface MenuItem {
  readonly content: string
  readonly disabled?: boolean
  callback?(): void
}

/** A node class's description, as `/object_info` gives it. */
export interface NodeDefinition {
  readonly name: string
  readonly display_name?: string
  readonly input?: {
    required?: Record<string, unknown>
    optional?: Record<string, unknown>
    hidden?: Record<string, unknown>
  }
  readonly output?: readonly unknown[]
  readonly output_name?: readonly string[]
}

/** A node on the canvas; the nodes' own modules describe what they need of it. */
export interface GraphNode {
  readonly id: string | number
  readonly type?: string
  readonly comfyClass?: string
  title: string
  graph?: Graph | null
}

/** The constructor of a node class. */
export interface NodeType {
  readonly comfyClass?: string
  readonly prototype: GraphNode
}

export interface Graph {
  readonly nodes?: readonly GraphNode[]
  getNodeById(id: string | number): GraphNode | null | undefined
  setDirtyCanvas(foreground: boolean, background?: boolean): void
  serialize(): unknown
}

export interface Canvas {
  readonly graph?: Graph | null
  readonly selected_nodes?: Readonly<Record<string, GraphNode>>
  setDirty(foreground: boolean, background?: boolean): void
}

export interface ComfyApp {
  registerExtension(extension: ComfyExtension): void
  readonly extensionManager?: ExtensionManager
  /** Since 1.32. */
  readonly rootGraph?: Graph
  /** Deprecated since 1.32, the only one before. */
  readonly graph?: Graph
  readonly canvas?: Canvas
  /** Whether a graph is being put together from stored data. */
  readonly configuringGraph?: boolean
  loadGraphData?(workflow: unknown, clean?: boolean, restoreView?: boolean, name?: string | null): Promise<void>
  graphToPrompt?(graph?: Graph): Promise<{ workflow: unknown; output: unknown }>
}

type Eventually<T> = T | Promise<T>

/** What `registerExtension` takes. Front ends ignore what they do not know. */
export interface ComfyExtension {
  readonly name: string
  readonly commands?: readonly Command[]
  readonly keybindings?: readonly Keybinding[]
  readonly menuCommands?: readonly { readonly path: readonly string[]; readonly commands: readonly string[] }[]
  readonly settings?: readonly Setting[]
  readonly aboutPageBadges?: readonly { readonly label: string; readonly url: string; readonly icon: string }[]
  readonly topbarBadges?: readonly object[]
  readonly actionBarButtons?: readonly object[]
  init?(app: ComfyApp): Eventually<void>
  setup?(app: ComfyApp): Eventually<void>
  addCustomNodeDefs?(definitions: Record<string, NodeDefinition>, app: ComfyApp): Eventually<void>
  getCustomWidgets?(app: ComfyApp): Eventually<Record<string, unknown>>
  beforeRegisterNodeDef?(nodeType: NodeType, definition: NodeDefinition, app: ComfyApp): Eventually<void>
  registerCustomNodes?(app: ComfyApp): Eventually<void>
  nodeCreated?(node: GraphNode, app: ComfyApp): void
  loadedGraphNode?(node: GraphNode, app: ComfyApp): void
  beforeConfigureGraph?(workflow: unknown, missing: unknown[], app: ComfyApp): Eventually<void>
  afterConfigureGraph?(missing: unknown[], app: ComfyApp): Eventually<void>
  getSelectionToolboxCommands?(selected: GraphNode): string[]
  /** Since 1.29. */
  getNodeMenuItems?(node: GraphNode): (MenuItem | null)[]
  /** Since 1.29. */
  getCanvasMenuItems?(canvas: Canvas): (MenuItem | null)[]
}
