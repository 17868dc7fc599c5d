import type { Face, FaceParameter } from '@/nodes/face'

export function parameter(name: string, type: string, more: Partial<FaceParameter> = {}): FaceParameter {
  return {
    name,
    type,
    default: null,
    required: false,
    minimum: null,
    maximum: null,
    step: null,
    choices: null,
    multiline: false,
    tooltip: '',
    role: '',
    ...more,
  }
}

export function face(more: Partial<Face> = {}): Face {
  return {
    id: 'upscale',
    version: 2,
    name: 'Upscale',
    content_hash: 'h',
    parameters: [parameter('seed', 'INT', { role: 'seed' }), parameter('photo', 'IMAGE'), parameter('text', 'STRING')],
    outputs: [{ name: 'image', type: 'IMAGE' }],
    ...more,
  }
}
