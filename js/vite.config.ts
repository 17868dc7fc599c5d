import vue from '@vitejs/plugin-vue'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { type Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Puts the style sheet into the module: ComfyUI loads every .js of a pack and no .css. */
function styleInModule(): Plugin {
  return {
    name: 'style-in-module',
    enforce: 'post',
    generateBundle(_, bundle) {
      let css = ''
      for (const [name, asset] of Object.entries(bundle)) {
        if (asset.type !== 'asset' || !name.endsWith('.css')) continue
        css += typeof asset.source === 'string' ? asset.source : new TextDecoder().decode(asset.source)
        Reflect.deleteProperty(bundle, name)
      }
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk' || !chunk.isEntry) continue
        const style = `document.head.append(Object.assign(document.createElement("style"),{textContent:${JSON.stringify(css)}}));`
        chunk.code += `\n${style}\n`
      }
    },
  }
}

const MOST_BYTES = 250_000

/** Every user loads the bundle with every page: one that grows too large is a fault. */
function sizeLimit(): Plugin {
  return {
    name: 'size-limit',
    enforce: 'post',
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue
        const size = gzipSync(chunk.code).length
        if (size > MOST_BYTES) this.error(`${chunk.fileName} has ${size} bytes compressed, more than ${MOST_BYTES}.`)
      }
    },
  }
}

export default defineConfig({
  plugins: [vue(), styleInModule(), sizeLimit()],
  resolve: { alias: { '@': here('./src') } },
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    ...(process.env['VITEST'] ? {} : { 'process.env.NODE_ENV': '"production"' }),
  },
  build: {
    outDir: here('../web'),
    emptyOutDir: false, // the nodes' help pages live there
    copyPublicDir: false,
    target: 'es2022',
    cssCodeSplit: false,
    lib: { entry: here('./src/main.ts'), formats: ['es'], fileName: () => 'orchestrator.js' },
    rollupOptions: { external: ['/scripts/app.js', '/scripts/api.js'], output: { inlineDynamicImports: true } },
  },
  test: {
    environment: 'happy-dom',
    include: ['tests/**/*.test.ts'],
    setupFiles: ['tests/support/browser.ts'],
    benchmark: { include: ['tests/**/*.bench.ts'] },
    restoreMocks: true,
  },
})
