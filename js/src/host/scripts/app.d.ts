// ComfyUI serves this module at /scripts/app.js; it is never bundled.
import type { ComfyApp } from '../comfy'

export declare const app: ComfyApp
