import * as v from 'valibot'

/** Whether this server orchestrates, and if not why, with what to do. */
export const Status = v.object({ version: v.string(), ready: v.boolean(), problem: v.string() })

export const Listening = v.object({ expires_in_s: v.number() })

/** The answer of a verb that has nothing to say. */
export const Done = v.looseObject({})

export type Status = v.InferOutput<typeof Status>
