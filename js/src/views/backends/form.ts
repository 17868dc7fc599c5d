import type { BackendDraft, CredentialsDraft } from '@/api/backends'
import type { Backend } from '@/api/schemas/backends'

import { readAddress } from './address'

/** The fields of the dialog as the user sees them. */
export interface Form {
  address: string
  name: string
  tags: string
  notes: string
  verifyTls: boolean
  caFile: string
  /** Whether credentials are written; when editing they replace the stored ones as a whole. */
  withCredentials: boolean
  bearerToken: string
  username: string
  password: string
  agentToken: string
}

export function emptyForm(): Form {
  return {
    address: '',
    name: '',
    tags: '',
    notes: '',
    verifyTls: true,
    caFile: '',
    withCredentials: true,
    bearerToken: '',
    username: '',
    password: '',
    agentToken: '',
  }
}

export function formOf(backend: Backend): Form {
  return {
    ...emptyForm(),
    address: backend.base_url,
    name: backend.name,
    tags: backend.tags.join(', '),
    notes: backend.notes,
    verifyTls: backend.tls.verify,
    caFile: backend.tls.ca_file ?? '',
    withCredentials: !hasCredentials(backend),
    username: backend.credentials.username ?? '',
  }
}

export function hasCredentials(backend: Backend): boolean {
  const { has_bearer_token, has_password, has_agent_token, username, header_names } = backend.credentials
  return has_bearer_token || has_agent_token || has_password || username !== null || header_names.length > 0
}

/** What is sent. An address that cannot be read is sent as it is: the server says what is wrong with it. */
export function draftOf(form: Form): BackendDraft {
  const address = readAddress(form.address)
  const url = 'url' in address ? address.url : form.address.trim()
  return {
    name: form.name.trim(),
    base_url: url,
    tags: tagsOf(form.tags),
    notes: form.notes,
    tls: { verify: form.verifyTls, ca_file: form.caFile.trim() || null },
    ...(form.withCredentials ? { credentials: credentialsOf(form) } : {}),
  }
}

/** Tags are separated by commas; the same tag counts once. */
export function tagsOf(text: string): string[] {
  const tags = text.split(/[,，]/).map((tag) => tag.trim())
  return [...new Set(tags)].filter((tag) => tag !== '')
}

function credentialsOf(form: Form): CredentialsDraft {
  return {
    ...(form.bearerToken ? { bearer_token: form.bearerToken } : {}),
    ...(form.username ? { username: form.username } : {}),
    ...(form.password ? { password: form.password } : {}),
    ...(form.agentToken ? { agent_token: form.agentToken } : {}),
  }
}
