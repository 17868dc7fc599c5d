// ComfyUI serves this module at /scripts/api.js; it is never bundled.
import type { ComfyApi } from '../comfy'

export declare const api: ComfyApi
