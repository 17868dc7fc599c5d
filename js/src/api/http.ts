import * as v from 'valibot'

import { ApiError, UnexpectedAnswer, Unreachable } from './errors'
import { parseExact, printExact } from './exactJson'

/** How requests are sent: `api.fetchApi`, which adds the host's prefix and user. */
export type Fetch = (route: string, init?: RequestInit) => Promise<Response>

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>

export interface SendOptions {
  readonly signal?: AbortSignal
  /** Sent even when the page is being closed. */
  readonly keepalive?: boolean
  /** Whether whole numbers beyond 2^53 are wanted as they are, as `bigint`, and not rounded. */
  readonly exact?: boolean
}

const Envelope = v.object({
  error: v.object({
    code: v.string(),
    message: v.string(),
    details: v.optional(v.record(v.string(), v.unknown()), {}),
  }),
})

/** Requests to `/orchestrator`. Every answer is checked against a schema before anybody sees it. */
export interface Http {
  get<S extends v.GenericSchema>(schema: S, path: string, query?: Query, options?: SendOptions): Promise<v.InferOutput<S>>
  send<S extends v.GenericSchema>(
    schema: S,
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    options?: SendOptions,
  ): Promise<v.InferOutput<S>>
  /** Send a file as it is, with its own media type. */
  upload<S extends v.GenericSchema>(
    schema: S,
    method: 'POST' | 'PUT',
    path: string,
    file: Blob,
    options?: SendOptions & { readonly query?: Query },
  ): Promise<v.InferOutput<S>>
}

/**
 * @throws (all verbs) ApiError when the server refuses, Unreachable when it does not answer, UnexpectedAnswer when the
 * answer does not have the documented form.
 */
export function createHttp(fetch: Fetch): Http {
  async function exchange<S extends v.GenericSchema>(schema: S, path: string, options: RequestInit & SendOptions): Promise<v.InferOutput<S>> {
    const { exact = false, ...init } = options
    const route = `/orchestrator${path}`
    let response: Response
    let body: unknown
    try {
      response = await fetch(route, init)
      body = await (exact ? response.text().then(parseExact) : response.json()).catch(() => undefined)
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') throw error
      throw new Unreachable('ComfyUI does not answer. Is it running?', { cause: error })
    }
    if (!response.ok) throw refusal(response, body)
    const parsed = v.safeParse(schema, body)
    if (!parsed.success) {
      const where = v.getDotPath(parsed.issues[0]) ?? ''
      throw new UnexpectedAnswer(`The server's answer to ${route} is not understood (${where}). Reload this page.`, {
        cause: parsed.issues,
      })
    }
    return parsed.output
  }

  return {
    get: (schema, path, query, options) => exchange(schema, path + queryText(query), { ...options }),
    send: (schema, method, path, body, options) =>
      exchange(schema, path, {
        ...options,
        method,
        headers: { 'X-Orchestrator': '1', 'Content-Type': 'application/json' },
        body: printExact(body ?? {}),
      }),
    upload: (schema, method, path, file, options) => {
      const { query, ...init } = options ?? {}
      return exchange(schema, path + queryText(query), {
        ...init,
        method,
        headers: { 'X-Orchestrator': '1', 'Content-Type': file.type || 'application/octet-stream' },
        body: file,
      })
    },
  }
}

/** One segment of a path, whatever characters an id has. */
export function segment(id: string): string {
  return encodeURIComponent(id)
}

function queryText(query: Query = {}): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === '') continue
    if (typeof value === 'object') for (const one of value) parameters.append(name, one)
    else parameters.append(name, String(value))
  }
  const text = parameters.toString()
  return text === '' ? '' : `?${text}`
}

function refusal(response: Response, body: unknown): ApiError {
  const parsed = v.safeParse(Envelope, body)
  if (parsed.success) {
    const { code, message, details } = parsed.output.error
    return new ApiError(code, message, response.status, details)
  }
  const hint = response.status === 404 ? 'Is the pack loaded? ComfyUI’s log tells.' : response.statusText
  return new ApiError('no_orchestrator', `The server answered with status ${response.status}. ${hint}`, response.status, {})
}
