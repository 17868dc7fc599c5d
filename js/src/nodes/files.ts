import type { Host } from '@/host/host'

/** The files in the server's input folder that can be picked for an input, and the way to add one. */
export interface InputFiles {
  /** Those that fit a type, as ComfyUI's own loader lists them; empty until the server has said. */
  list(type: string): readonly string[]
  reload(): Promise<void>
  /** Have the user choose a file and upload it; calls back with its name on the server. */
  choose(type: string, chosen: (name: string) => void, failed: (error: unknown) => void): void
  /** Where the browser gets a file. */
  url(name: string): string
}

interface Loader {
  readonly classType: string
  readonly input: string
  /** What the browser offers to upload. */
  readonly accepted: string
}

const IMAGE: Loader = { classType: 'LoadImage', input: 'image', accepted: 'image/png,image/jpeg,image/webp' }

/** The loader by whose words a file is named, as the server has it. */
const LOADERS: Readonly<Record<string, Loader>> = {
  IMAGE,
  MASK: IMAGE,
  AUDIO: { classType: 'LoadAudio', input: 'audio', accepted: 'audio/*,video/*' },
  LATENT: { classType: 'LoadLatent', input: 'latent', accepted: '.latent' },
  VIDEO: { classType: 'LoadVideo', input: 'file', accepted: 'video/*' },
}

/** Whether the widget of a parameter of this type names a file, which may be left out and can be uploaded. */
export function picksFile(type: string): boolean {
  return type in LOADERS
}

export function createInputFiles({ api }: Pick<Host, 'api'>): InputFiles {
  const lists = new Map<Loader, readonly string[]>()

  async function upload(loader: Loader, file: File): Promise<string> {
    const body = new FormData()
    body.append('image', file) // its name for a file of any kind
    const response = await api.fetchApi('/upload/image', { method: 'POST', body })
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`)
    const { name, subfolder } = (await response.json()) as { name: string; subfolder?: string }
    const path = subfolder ? `${subfolder}/${name}` : name
    const names = lists.get(loader) ?? []
    if (!names.includes(path)) lists.set(loader, [...names, path].sort())
    return path
  }

  async function read(loader: Loader): Promise<void> {
    try {
      const response = await api.fetchApi(`/object_info/${loader.classType}`)
      lists.set(loader, listed(await response.json(), loader.classType, loader.input))
    } catch (error) {
      console.info(`[Orchestrator] the files of ${loader.classType} could not be listed`, error)
    }
  }

  return {
    list(type) {
      const loader = LOADERS[type]
      return (loader && lists.get(loader)) ?? []
    },
    async reload() {
      await Promise.all([...new Set(Object.values(LOADERS))].map(read))
    },
    choose(type, chosen, failed) {
      const loader = LOADERS[type] ?? IMAGE
      const input = document.createElement('input')
      input.type = 'file'
      input.accept = loader.accepted
      input.addEventListener('change', () => {
        const file = input.files?.[0]
        if (file) void upload(loader, file).then(chosen, failed)
      })
      input.click()
    },
    url: (name) => api.apiURL(`/view?${new URLSearchParams(place(name)).toString()}`),
  }
}

/** Both spellings of a list of choices: `[[names], {}]` and `["COMBO", {options: names}]`. */
export function listed(answer: unknown, classType: string, input: string): readonly string[] {
  const info = (answer as Record<string, { input?: { required?: Record<string, unknown> } }> | null)?.[classType]
  const spec = info?.input?.required?.[input]
  if (!Array.isArray(spec)) return []
  const [names, options] = spec as [unknown, { options?: unknown } | undefined]
  const list = Array.isArray(names) ? names : options?.options
  return Array.isArray(list) ? list.filter((name) => typeof name === 'string') : []
}

/** What `sub/cat.png [temp]` means: ComfyUI's spelling of a file in one of its folders. */
export function place(name: string): { filename: string; subfolder: string; type: string } {
  const [, path = name, type = 'input'] = /^(.*?)(?: \[(input|output|temp)\])?$/su.exec(name) ?? []
  const at = path.lastIndexOf('/')
  return { filename: path.slice(at + 1), subfolder: path.slice(0, Math.max(0, at)), type }
}
