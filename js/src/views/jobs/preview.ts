import { type Ref, ref } from 'vue'

import { onEvent } from '@/api/events'
import type { Context } from '@/context'

const PART = 'job panel'

/** The newest preview of one job, as an address that an image can show; empty until there is one. */
export function createPreview(
  { host, sync }: Pick<Context, 'host' | 'sync'>,
  jobId: () => string,
): { readonly image: Readonly<Ref<string>>; stop(): void } {
  const image = ref('')
  let of = ''
  sync.listening.want(PART, { jobs: [jobId()] })
  const stop = onEvent(host, 'orchestrator.preview', ({ job_id, media_type, image: data }) => {
    if (of !== jobId()) {
      of = jobId()
      image.value = ''
      sync.listening.want(PART, { jobs: [of] })
    }
    // Only what an image element shows anyway; the data itself is base64 and cannot leave the address.
    if (job_id === jobId() && /^image\/(jpeg|png|webp)$/u.test(media_type)) image.value = `data:${media_type};base64,${data}`
  })
  return {
    image,
    stop() {
      stop()
      sync.listening.want(PART, null)
    },
  }
}
