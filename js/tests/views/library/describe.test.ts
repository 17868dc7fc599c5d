import { DOMWrapper, flushPromises, mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import type { Knobs } from '@/api/schemas/library'
import { CONTEXT } from '@/context'
import { start } from '@/start'
import DescribeDialog from '@/views/library/DescribeDialog.vue'
import { changedKnobs, faultsOf, formOf } from '@/views/library/knobs'

import { fakeHost, type FakeHost } from '../../support/fakeHost'
import { definition, knobs } from '../../support/library'

const ALL = knobs({ on_failure: 'ask', attempts: 5, time_limit_s: 60, cache: false, prefer: ['tag:fast', 'Desk, left'] })

describe('how the jobs of a workflow run', () => {
  it('is not stored where nobody changed it', () => {
    for (const before of [knobs(), ALL]) expect(changedKnobs(formOf(before), before)).toBeNull()
  })

  it('is left to the settings where a field is emptied', () => {
    const empty = { onFailure: '', attempts: '', timeLimit: '', cache: '', prefer: ' , ' }
    expect(changedKnobs(empty, ALL)).toEqual(knobs())
  })

  it('keeps names that nobody touched, whatever they contain', () => {
    expect(changedKnobs({ ...formOf(ALL), attempts: 6 }, ALL)).toEqual({ ...ALL, attempts: 6 })
    expect(changedKnobs({ ...formOf(ALL), prefer: 'desk，tag:slow' }, ALL)?.prefer).toEqual(['desk', 'tag:slow'])
  })

  it.each([0, 101, 2.5, -1])('does not take %s attempts', (attempts) => {
    expect([...faultsOf({ ...formOf(knobs()), attempts })]).toEqual(['attempts'])
  })

  it.each([0, 0.5, 2_592_001])('does not take a time limit of %s seconds', (timeLimit) => {
    expect([...faultsOf({ ...formOf(knobs()), timeLimit })]).toEqual(['timeLimit'])
  })
})

describe('the dialog for name, tags and how it runs', () => {
  let fake: FakeHost
  let sent: { knobs?: Knobs; name?: string }[]

  beforeEach(() => {
    fake = fakeHost()
    sent = []
    fake.answer('PATCH /definitions/upscale', (init) => {
      sent.push(JSON.parse(String(init.body)) as (typeof sent)[number])
      return definition('upscale')
    })
  })
  afterEach(() => document.body.replaceChildren())

  function open(before = knobs()) {
    const context = start(fake.app, fake.api)
    const wrapper = mount(DescribeDialog, {
      attachTo: document.body,
      props: { definition: definition('upscale', { knobs: before }) },
      global: { provide: { [CONTEXT as symbol]: context } },
    })
    return { wrapper, page: new DOMWrapper(document.body) }
  }

  it('sends only what was changed of how it runs', async () => {
    const { page } = open()
    await page.get('form').trigger('submit')
    await flushPromises()
    expect(sent).toEqual([{ name: 'upscale', description: '', tags: [] }])
  })

  it('stores what was chosen', async () => {
    const { wrapper, page } = open()
    expect(page.get('details').attributes('open')).toBeUndefined()
    const [onFailure, cache] = page.findAll('select')
    const [attempts, timeLimit] = page.findAll('input[type=number]')
    await onFailure?.setValue('drop')
    await cache?.setValue('false')
    await attempts?.setValue('2')
    await timeLimit?.setValue('90.5')
    await page.get('form').trigger('submit')
    await flushPromises()
    expect(sent[0]?.knobs).toEqual(knobs({ on_failure: 'drop', attempts: 2, time_limit_s: 90.5, cache: false }))
    expect(wrapper.emitted('close')).toEqual([[true]])
  })

  it('shows what is set, and does not store what no job can be run with', async () => {
    const { page } = open(ALL)
    expect(page.get('details').attributes('open')).toBeDefined()
    await page.get('input[type=number]').setValue('0')
    await page.get('form').trigger('submit')
    await flushPromises()
    expect(sent).toEqual([])
    expect(page.get('[role=alert]').text()).toBe('A whole number from 1 to 100')
  })
})
