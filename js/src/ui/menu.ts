/** One line of a menu. */
export interface MenuEntry {
  readonly id: string
  readonly label: string
  readonly icon?: string
  readonly danger?: boolean
  /** Why it cannot be chosen now; it is shown as the tooltip. */
  readonly disabled?: string | undefined
  readonly action: () => void
}
