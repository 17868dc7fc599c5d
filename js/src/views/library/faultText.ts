import type { Translate } from '@/i18n/translate'

import type { Fault } from './exposure'

/** What is wrong, in words that say how to mend it. */
export function faultText(t: Translate, fault: Fault): string {
  switch (fault.kind) {
    case 'nameless':
      return t('library.fault.nameless')
    case 'twice':
      return t('library.fault.twice', { name: fault.name })
    case 'range':
      return t('library.fault.range')
    case 'outside':
      return t('library.fault.outside')
    case 'noOutput':
      return t('library.fault.noOutput')
  }
}
