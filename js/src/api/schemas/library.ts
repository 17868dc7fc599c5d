import * as v from 'valibot'

import { Problem } from './backends'

/** One end of a range. The server holds it as a fraction, and may write it as a whole number of any length. */
const Bound = v.nullable(v.pipe(v.union([v.number(), v.bigint()]), v.transform(Number)))

/** One exposed input. A range or choices may be recorded with it; `default` is a JSON value. */
export const Parameter = v.object({
  name: v.string(),
  type: v.string(),
  node_id: v.string(),
  input_name: v.string(),
  default: v.unknown(),
  required: v.boolean(),
  minimum: Bound,
  maximum: Bound,
  step: Bound,
  choices: v.nullable(v.array(v.unknown())),
  multiline: v.boolean(),
  tooltip: v.string(),
  role: v.string(),
})

export const Output = v.object({ name: v.string(), type: v.string(), node_id: v.string(), index: v.number() })

/** How the jobs of a definition are run. What is null the settings decide. */
export const Knobs = v.object({
  on_failure: v.nullable(v.string()),
  attempts: v.nullable(v.number()),
  time_limit_s: v.nullable(v.number()),
  cache: v.nullable(v.boolean()),
  prefer: v.nullable(v.array(v.string())),
})

const summary = {
  id: v.string(),
  version: v.number(),
  name: v.string(),
  description: v.string(),
  tags: v.array(v.string()),
  parameters: v.array(Parameter),
  outputs: v.array(Output),
  knobs: Knobs,
  content_hash: v.string(),
  created_at: v.number(),
}

export const DefinitionSummary = v.object(summary)
export const DefinitionList = v.object({ definitions: v.array(DefinitionSummary) })
export const Definition = v.object({
  ...summary,
  prompt: v.record(v.string(), v.unknown()),
  workflow: v.nullable(v.record(v.string(), v.unknown())),
})

export const Inspection = v.object({
  parameters: v.array(Parameter),
  outputs: v.array(Output),
  suggested_parameters: v.array(v.string()),
  suggested_outputs: v.array(v.string()),
  unknown_classes: v.array(v.string()),
  remarks: v.array(v.string()),
})

export const Draft = v.object({
  found: v.string(),
  prompt: v.record(v.string(), v.unknown()),
  workflow: v.nullable(v.record(v.string(), v.unknown())),
  inspection: Inspection,
  warnings: v.array(v.string()),
})

export const Imported = v.object({
  found: v.string(),
  imported: v.array(v.object({ definition: DefinitionSummary, action: v.string(), id_in_file: v.optional(v.string(), '') })),
  warnings: v.array(v.string()),
})

export const Preflight = v.object({
  version: v.number(),
  backends: v.array(
    v.object({
      backend_id: v.string(),
      backend: v.string(),
      able: v.nullable(v.boolean()),
      missing: v.array(v.object({ kind: v.string(), message: v.string(), near: v.array(v.string()) })),
      problem: v.optional(v.nullable(Problem), null),
    }),
  ),
})

export const Uses = v.object({ definitions: v.array(DefinitionSummary), unfinished_jobs: v.array(v.string()) })

export const Thumbnails = v.object({ thumbnails: v.record(v.string(), v.object({ url: v.string() })) })

export type Parameter = v.InferOutput<typeof Parameter>
export type Output = v.InferOutput<typeof Output>
export type Knobs = v.InferOutput<typeof Knobs>
export type DefinitionSummary = v.InferOutput<typeof DefinitionSummary>
export type Definition = v.InferOutput<typeof Definition>
export type Inspection = v.InferOutput<typeof Inspection>
export type Draft = v.InferOutput<typeof Draft>
export type Imported = v.InferOutput<typeof Imported>
export type Preflight = v.InferOutput<typeof Preflight>
export type Uses = v.InferOutput<typeof Uses>
