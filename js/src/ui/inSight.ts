import { onBeforeUnmount, onMounted, type Ref, shallowRef, type ShallowRef, watch } from 'vue'

/**
 * Which children of a list are in sight, or nearly, by an attribute of theirs. As long as the browser has not said, all
 * that it is asked for are: what is drawn needlessly once is cheaper than a gap.
 */
export function useInSight(list: Readonly<Ref<Element | null>>, attribute: string): Readonly<ShallowRef<ReadonlySet<string>>> {
  const inSight = shallowRef<ReadonlySet<string>>(new Everything())
  const seen = new Set<string>()
  let observer: IntersectionObserver | undefined
  let children: MutationObserver | undefined

  function observeAll(element: Element): void {
    for (const child of element.children) observer?.observe(child)
  }

  onMounted(() => {
    observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          const id = target.getAttribute(attribute)
          if (id === null) continue
          if (isIntersecting) seen.add(id)
          else seen.delete(id)
        }
        inSight.value = new Set(seen)
      },
      { rootMargin: '20px' },
    )
    watch(
      list,
      (element) => {
        children?.disconnect()
        if (element === null) return
        observeAll(element)
        // Observing again what is observed already does nothing.
        children = new MutationObserver(() => observeAll(element))
        children.observe(element, { childList: true })
      },
      { immediate: true },
    )
  })
  onBeforeUnmount(() => {
    observer?.disconnect()
    children?.disconnect()
  })
  return inSight
}

/** A set that has everything. */
class Everything extends Set<string> {
  override has(): boolean {
    return true
  }
}
