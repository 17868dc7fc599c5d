/** The server refused, in its own words. `code` is stable, `message` is for people and says how to mend it. */
export class ApiError extends Error {
  override readonly name = 'ApiError'

  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly details: Readonly<Record<string, unknown>>,
  ) {
    super(message)
  }

  /** What is wrong with each field of the request, by its name; empty when it is not about fields. */
  get problems(): Readonly<Record<string, string>> {
    const problems = this.details['problems']
    if (typeof problems !== 'object' || problems === null) return {}
    return Object.fromEntries(Object.entries(problems).map(([field, text]) => [field, String(text)]))
  }
}

/** The request did not reach the server, or its answer did not reach us. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** The server's answer does not have the documented form: it runs another version than this page. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer'
}

/** A sentence for people, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String(error)
}
