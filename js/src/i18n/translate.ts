import en from '../../../locales/en/main.json'
import zh from '../../../locales/zh/main.json'

/** The texts as ComfyUI serves them under /i18n too; bundled, so that they are there before the first thing is drawn. */
const TEXTS = { en: en.orchestrator, zh: zh.orchestrator } as const

type Paths<T> = { [K in keyof T & string]: T[K] extends string ? K : `${K}.${Paths<T[K]>}` }[keyof T & string]

/** The name of a text. One that does not exist is an error of types. */
export type TextKey = Paths<typeof en.orchestrator>
/** A text in two forms, `key_one` and `key_other`, chosen by a number. */
export type PluralKey = TextKey extends infer K ? (K extends `${infer Base}_other` ? Base : never) : never
export type Values = Readonly<Record<string, string | number>>

export interface Translate {
  (key: TextKey, values?: Values): string
  /** The form for a number, which the text gets as `{n}`. */
  plural(key: PluralKey, n: number, values?: Values): string
  /** The language in effect, for dates and numbers. */
  readonly language: () => string
}

/**
 * Make the translator.
 *
 * @param locale gives the user's language as the host says it, such as `en`, `zh` or `zh-TW`. Asked each time: the
 * host's settings may arrive, or change, after the first text was shown.
 */
export function createTranslate(locale: () => string): Translate {
  const language = () => locale() || 'en'
  const texts = (): unknown => (language().toLowerCase().startsWith('zh') ? TEXTS.zh : TEXTS.en)
  const text = (key: string) => lookUp(texts(), key) ?? lookUp(TEXTS.en, key) ?? key
  const translate = (key: TextKey, values: Values = {}) => fill(text(key), values)
  return Object.assign(translate, {
    plural(key: PluralKey, n: number, values: Values = {}) {
      const form = new Intl.PluralRules(language()).select(n) === 'one' ? 'one' : 'other'
      return fill(text(`${key}_${form}`), { ...values, n })
    },
    language,
  })
}

function lookUp(texts: unknown, key: string): string | undefined {
  let found: unknown = texts
  for (const part of key.split('.')) {
    if (typeof found !== 'object' || found === null) return undefined
    found = (found as Record<string, unknown>)[part]
  }
  return typeof found === 'string' ? found : undefined
}

function fill(text: string, values: Values): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole))
}
