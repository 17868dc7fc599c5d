import type { Backend, BackendStatus, Gpu } from '@/api/schemas/backends'
import { formatBytes } from '@/i18n/format'
import type { Translate } from '@/i18n/translate'

/** Backends in words. Pure. */

export type Tone = 'neutral' | 'good' | 'warn' | 'bad'

const TONES: Record<BackendStatus, Tone> = {
  unknown: 'neutral',
  online: 'good',
  degraded: 'warn',
  suspended: 'warn',
  offline: 'bad',
}

export function toneOf(backend: Backend): Tone {
  if (!backend.enabled) return 'neutral'
  return backend.draining && backend.status === 'online' ? 'warn' : TONES[backend.status]
}

/** What the badge says: what the user did to it comes before how it is. */
export function statusText(backend: Backend, t: Translate): string {
  if (!backend.enabled) return t('backends.status.disabled')
  return backend.draining && backend.status === 'online' ? t('backends.status.draining') : t(`backends.status.${backend.status}`)
}

/** `NVIDIA GeForce RTX 4090 (24 GB)`; equal ones once, with how many there are. */
export function describeGpus(gpus: readonly Gpu[], t: Translate): string {
  const counted = new Map<string, number>()
  for (const gpu of gpus) {
    const memory = gpu.vram_total_bytes > 0 ? ` (${formatBytes(gpu.vram_total_bytes, t.language())})` : ''
    const text = `${gpuName(gpu.name)}${memory}`
    counted.set(text, (counted.get(text) ?? 0) + 1)
  }
  if (counted.size === 0) return t('backends.noGpu')
  return [...counted].map(([text, count]) => (count > 1 ? `${count} × ${text}` : text)).join(', ')
}

/** ComfyUI writes `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`; people want what stands in between. */
export function gpuName(reported: string): string {
  const name = reported.replace(/^(cuda|xpu|npu|mlu|privateuseone):\d+\s+/, '').replace(/\s+:\s+\w+$/, '').trim()
  if (name === 'cpu') return 'CPU'
  return name.replace(/^NVIDIA (GeForce )?/, '')
}

/** How many prompts in its queue are not ours. */
export function foreignPrompts(backend: Backend): number {
  return Math.max(0, backend.queue_remaining - backend.in_flight)
}

/** Whether a backend is one the user may mean: by name, address, tag or GPU. */
export function matches(backend: Backend, search: string): boolean {
  const wanted = search.trim().toLocaleLowerCase()
  if (wanted === '') return true
  const gpus = backend.capabilities?.gpus.map((gpu) => gpu.name) ?? []
  return [backend.name, backend.base_url, ...backend.tags, ...gpus].some((text) => text.toLocaleLowerCase().includes(wanted))
}

/** Whether this pack is there and may be used, with what to do if not. */
export function agentText(backend: Backend, t: Translate): string {
  const agent = backend.capabilities?.agent
  if (!agent) return t('backends.detail.packNone')
  const { version, problem } = agent
  return agent.trusted ? t('backends.detail.packTrusted', { version }) : t('backends.detail.packUntrusted', { version, problem })
}
