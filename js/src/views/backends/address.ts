/** What a user may paste as an address, made into the base URL of a ComfyUI. Pure. */

const COMFYUI_PORT = '8188'

export type Address = { readonly url: string } | { readonly problem: 'empty' | 'unreadable' | 'scheme' }

/**
 * Read an address as people write them: `192.168.1.5`, `desk:8188`, `http://desk:8188/#workflow`, `https://gpu.example/comfy/`.
 * Without a scheme it is http, and then without a port ComfyUI's own.
 */
export function readAddress(text: string): Address {
  const trimmed = text.trim().replace(/^["'<]+|["'>]+$/g, '')
  if (trimmed === '') return { problem: 'empty' }
  const bare = !/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)
  let url: URL
  try {
    url = new URL(bare ? `http://${trimmed}` : trimmed)
  } catch {
    return { problem: 'unreadable' }
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return { problem: 'scheme' }
  // A path of ComfyUI's own pages is not a prefix under which it is served.
  const path = url.pathname.replace(/\/+(index\.html|api)?\/*$/, '')
  const portGiven = /^[^/]*:\d+(\/|$)/.test(trimmed)
  const port = url.port || (bare && !portGiven && path === '' ? COMFYUI_PORT : '')
  return { url: `${url.protocol}//${url.hostname}${port ? `:${port}` : ''}${path}` }
}

/**
 * A name to begin with, from the host: `desk` of `desk.local`, addresses as they are. Where that is taken, as by another
 * ComfyUI on the same machine, the port tells them apart, and at last a number.
 */
export function suggestName(url: string, taken: readonly string[]): string {
  const { hostname, port } = new URL(url)
  const host = /^[\d.]+$|:/.test(hostname) ? hostname : (hostname.split('.')[0] ?? hostname)
  const known = new Set(taken.map((name) => name.toLocaleLowerCase()))
  const free = (name: string) => !known.has(name.toLocaleLowerCase())
  if (free(host)) return host
  const base = port === '' ? host : `${host}:${port}`
  let name = base
  for (let number = 2; !free(name); number++) name = `${base} (${number})`
  return name
}

/** Whether an address can be opened in a browser: those stored before a check existed might not be. */
export function isWebAddress(url: string): boolean {
  return /^https?:\/\//i.test(url)
}
