import type { Host } from '@/host/host'

/** The images in the server's input folder, as its own loader lists them, and the way to add one. */
export interface InputImages {
  /** Empty until the server has said. */
  list(): readonly string[]
  reload(): Promise<void>
  /** Have the user choose a file and upload it; calls back with its name on the server. */
  choose(chosen: (name: string) => void, failed: (error: unknown) => void): void
}

const ACCEPTED = 'image/png,image/jpeg,image/webp'

export function createInputImages({ api }: Pick<Host, 'api'>): InputImages {
  let names: readonly string[] = []

  async function upload(file: File): Promise<string> {
    const body = new FormData()
    body.append('image', file)
    const response = await api.fetchApi('/upload/image', { method: 'POST', body })
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`)
    const { name, subfolder } = (await response.json()) as { name: string; subfolder?: string }
    const path = subfolder ? `${subfolder}/${name}` : name
    if (!names.includes(path)) names = [...names, path].sort()
    return path
  }

  return {
    list: () => names,
    async reload() {
      try {
        const response = await api.fetchApi('/object_info/LoadImage')
        names = listed(await response.json())
      } catch (error) {
        console.info('[Orchestrator] the input folder could not be listed', error)
      }
    },
    choose(chosen, failed) {
      const input = document.createElement('input')
      input.type = 'file'
      input.accept = ACCEPTED
      input.addEventListener('change', () => {
        const file = input.files?.[0]
        if (file) void upload(file).then(chosen, failed)
      })
      input.click()
    },
  }
}

/** Both spellings of a list of choices: `[[names], {}]` and `["COMBO", {options: names}]`. */
export function listed(answer: unknown): readonly string[] {
  const spec = (answer as { LoadImage?: { input?: { required?: { image?: unknown } } } } | null)?.LoadImage?.input?.required?.image
  if (!Array.isArray(spec)) return []
  const [names, options] = spec as [unknown, { options?: unknown } | undefined]
  const list = Array.isArray(names) ? names : options?.options
  return Array.isArray(list) ? list.filter((name) => typeof name === 'string') : []
}
