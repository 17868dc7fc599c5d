import { nextTick } from 'vue'
import { beforeEach, describe, expect, it, vi } from 'vitest'

import type { Context } from '@/context'
import type { SidebarTab } from '@/host/comfy'
import { start } from '@/start'

import { type FakeHost, fakeHost } from '../support/fakeHost'
import { backend } from '../support/make'

let fake: FakeHost
let context: Context
let tab: SidebarTab

beforeEach(async () => {
  fake = fakeHost()
  fake.answer('PUT /listeners/tab-1', () => ({ expires_in_s: 300 }))
  fake.answer('GET /backends', () => ({ backends: [backend('desk')] }))
  fake.answer('GET /jobs', () => ({ jobs: [], next: null }))
  context = start(fake.app, fake.api)
  await fake.extensions[0]?.setup?.(fake.app)
  await vi.waitFor(() => expect(context.store.state.value.connection.kind).toBe('live'))
  tab = fake.tabs[0] as SidebarTab
})

function place(): HTMLElement {
  const element = document.createElement('div')
  document.body.append(element)
  return element
}

async function flushed(): Promise<void> {
  await new Promise(requestAnimationFrame)
  await nextTick()
}

describe('the sidebar tab', () => {
  it('is one extension with one tab', () => {
    expect(fake.extensions).toHaveLength(1)
    expect(fake.tabs).toHaveLength(1)
  })

  it('shows the same application however often the host renders it', async () => {
    const first = place()
    tab.render(first)
    tab.render(first)
    await nextTick()
    expect(first.children).toHaveLength(1)
    expect(first.textContent).toContain('desk')
    const second = place()
    tab.render(second)
    expect(first.children).toHaveLength(0)
    expect(second.textContent).toContain('desk')
  })

  it('stands still while it is hidden, and is right again when it is shown', async () => {
    const element = place()
    tab.render(element)
    await nextTick()
    const root = element.firstElementChild
    tab.destroy?.()
    context.store.dispatch({ type: 'backendsListed', backends: [backend('laptop')] })
    await flushed()
    expect(root?.textContent).toContain('desk')
    tab.render(element)
    await nextTick()
    expect(root?.textContent).toContain('laptop')
  })
})
