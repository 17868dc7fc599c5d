import type { DefinitionSummary, Inspection, Knobs, Output, Parameter } from '@/api/schemas/library'

export function parameter(name: string, parts: Partial<Parameter> = {}): Parameter {
  return {
    name,
    type: 'INT',
    node_id: '1',
    input_name: name,
    default: 1,
    required: false,
    minimum: null,
    maximum: null,
    step: null,
    choices: null,
    multiline: false,
    tooltip: '',
    role: '',
    ...parts,
  }
}

export function output(name: string, parts: Partial<Output> = {}): Output {
  return { name, type: 'IMAGE', node_id: '9', index: 0, ...parts }
}

export function inspection(parts: Partial<Inspection> = {}): Inspection {
  return {
    parameters: [],
    outputs: [],
    suggested_parameters: [],
    suggested_outputs: [],
    unknown_classes: [],
    remarks: [],
    ...parts,
  }
}

/** Knobs that leave all to the settings, but for these. */
export function knobs(parts: Partial<Knobs> = {}): Knobs {
  return { on_failure: null, attempts: null, time_limit_s: null, cache: null, prefer: null, ...parts }
}

export function definition(id: string, parts: Partial<DefinitionSummary> = {}): DefinitionSummary {
  return {
    id,
    version: 1,
    name: id,
    description: '',
    tags: [],
    parameters: [],
    outputs: [output('image')],
    knobs: knobs(),
    content_hash: id,
    created_at: 0,
    ...parts,
  }
}
