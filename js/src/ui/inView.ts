import { onBeforeUnmount, onMounted, type Ref, ref } from 'vue'

/**
 * Whether an element is in sight, or nearly. True until the browser says otherwise: what is drawn needlessly once is
 * cheaper than a gap.
 */
export function useInView(element: Readonly<Ref<Element | null>>): Readonly<Ref<boolean>> {
  const inView = ref(true)
  let observer: IntersectionObserver | undefined
  onMounted(() => {
    if (element.value === null) return
    observer = new IntersectionObserver(
      (entries) => {
        inView.value = entries.at(-1)?.isIntersecting ?? true
      },
      { rootMargin: '100px' },
    )
    observer.observe(element.value)
  })
  onBeforeUnmount(() => observer?.disconnect())
  return inView
}
