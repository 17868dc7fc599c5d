import { onScopeDispose, type Ref, ref, shallowRef, type ShallowRef, watch } from 'vue'

import { messageOf } from '@/api/errors'

export interface Loaded<T> {
  readonly value: Readonly<ShallowRef<T | null>>
  readonly error: Readonly<Ref<string>>
  readonly loading: Readonly<Ref<boolean>>
  reload(): Promise<void>
}

/**
 * Load something now and whenever what it depends on changes. What is loaded stays while the next is on its way; an
 * answer that was overtaken by a newer question is dropped.
 */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, dependencies: () => unknown): Loaded<T> {
  const value = shallowRef<T | null>(null)
  const error = ref('')
  const loading = ref(false)
  let current: AbortController | undefined

  async function reload(): Promise<void> {
    current?.abort()
    const mine = (current = new AbortController())
    loading.value = true
    try {
      const found = await load(mine.signal)
      if (mine.signal.aborted) return
      value.value = found
      error.value = ''
    } catch (caught) {
      if (mine.signal.aborted) return
      error.value = messageOf(caught)
    } finally {
      if (current === mine) loading.value = false
    }
  }

  watch(dependencies, () => void reload(), { immediate: true })
  onScopeDispose(() => current?.abort())
  return { value, error, loading, reload }
}
