import { mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { nextTick } from 'vue'

import OrcButton from '@/ui/OrcButton.vue'
import OrcField from '@/ui/OrcField.vue'
import OrcMenu from '@/ui/OrcMenu.vue'
import OrcVirtualList from '@/ui/OrcVirtualList.vue'
import { createUndo, UNDO_MS } from '@/ui/undo'

describe('a menu', () => {
  const chosen: string[] = []
  const entry = (id: string, disabled?: string) => ({ id, label: id, disabled, action: () => void chosen.push(id) })
  const open = async () => {
    const menu = mount(OrcMenu, { props: { label: 'More', entries: [entry('a'), entry('b', 'Not now.'), entry('c')] }, attachTo: document.body })
    await menu.get('button').trigger('click')
    await nextTick()
    return menu
  }
  const focused = () => document.activeElement?.textContent?.trim()

  it('is walked through by arrow keys, round its ends', async () => {
    const menu = await open()
    expect(focused()).toBe('a')
    await menu.get('[role=menu]').trigger('keydown', { key: 'ArrowUp' })
    expect(focused()).toBe('c')
    await menu.get('[role=menu]').trigger('keydown', { key: 'ArrowDown' })
    expect(focused()).toBe('a')
  })

  it('gives the focus back to its button when Escape closes it', async () => {
    const menu = await open()
    await menu.get('[role=menu]').trigger('keydown', { key: 'Escape' })
    expect(menu.find('[role=menu]').exists()).toBe(false)
    expect(document.activeElement?.getAttribute('aria-label')).toBe('More')
  })

  it('does nothing for an entry that cannot be chosen, and says why', async () => {
    const menu = await open()
    const [, disabled] = menu.findAll('[role=menuitem]')
    await disabled?.trigger('click')
    expect(chosen).toEqual([])
    expect(disabled?.attributes('title')).toBe('Not now.')
  })
})

it('a field ties its label and its error to its control', () => {
  const field = mount(OrcField, {
    props: { label: 'Name', error: 'Taken.' },
    slots: { default: '<template #default="field"><input v-bind="field" /></template>' },
  })
  const input = field.get('input')
  expect(field.get('label').attributes('for')).toBe(input.attributes('id'))
  expect(input.attributes('aria-invalid')).toBe('true')
  expect(field.get(`#${input.attributes('aria-describedby') ?? ''}`).text()).toBe('Taken.')
})

it('a list of ten thousand rows makes only those in sight, and says how many there are', () => {
  const items = Array.from({ length: 10_000 }, (_, i) => `row ${i}`)
  const list = mount(OrcVirtualList<string>, {
    props: { items, rowHeight: 20, keyOf: (row: string) => row, label: 'Rows' },
    slots: { default: ({ item }: { item: string }) => item },
  })
  const rows = list.findAll('[role=listitem]')
  expect(rows.length).toBeLessThan(50)
  expect(rows[0]?.attributes('aria-setsize')).toBe('10000')
})

it('a list begins at the row it is told to begin at', () => {
  const items = Array.from({ length: 1_000 }, (_, i) => `row ${i}`)
  const list = mount(OrcVirtualList<string>, {
    props: { items, rowHeight: 20, keyOf: (row: string) => row, label: 'Rows', beginAt: 'row 500' },
    slots: { default: ({ item }: { item: string }) => item },
  })
  expect(list.get('[role=list]').element.scrollTop).toBe(500 * 20)
})

it('a button that is at work keeps the focus and cannot be pressed', async () => {
  const pressed = vi.fn()
  const button = mount(OrcButton, { props: { busy: true }, attrs: { onClick: pressed }, attachTo: document.body })
  const element = button.get('button').element
  element.focus()
  element.click()
  expect(document.activeElement).toBe(element)
  expect(pressed).not.toHaveBeenCalled()
  await button.setProps({ busy: false })
  element.click()
  expect(pressed).toHaveBeenCalledTimes(1)
})

describe('an action that can be taken back', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('is carried out once: after its time, or when the page is closed', () => {
    const undo = createUndo()
    const carryOut = vi.fn()
    undo.announce({ text: 'x', carryOut, takeBack: vi.fn() })
    undo.flush()
    vi.advanceTimersByTime(UNDO_MS * 2)
    expect(carryOut).toHaveBeenCalledTimes(1)
    expect(undo.pending.value).toEqual([])
  })

  it('is never carried out when it was taken back', () => {
    const undo = createUndo()
    const carryOut = vi.fn()
    const takeBack = vi.fn()
    undo.announce({ text: 'x', carryOut, takeBack })
    undo.takeBack(undo.pending.value[0]?.id ?? 0)
    vi.advanceTimersByTime(UNDO_MS * 2)
    expect(carryOut).not.toHaveBeenCalled()
    expect(takeBack).toHaveBeenCalledTimes(1)
  })
})
