import type { Backend } from '@/api/schemas/backends'
import type { Translate } from '@/i18n/translate'
import type { MenuEntry } from '@/ui/menu'

import type { BackendActions } from './actions'
import { isWebAddress } from './address'

/** The entries of a backend's menu, those first that one reaches for. */
export function menuOf(backend: Backend, ours: number, actions: BackendActions, t: Translate, edit: () => void): MenuEntry[] {
  const away = backend.status === 'offline' ? t('backends.actions.offline') : undefined
  const entries: (MenuEntry | null)[] = [
    { id: 'probe', label: t('backends.actions.probe'), icon: 'pi-refresh', action: () => void actions.probe(backend) },
    backend.local
      ? null
      : {
          id: 'open',
          label: t('backends.actions.open'),
          icon: 'pi-external-link',
          disabled: isWebAddress(backend.base_url) ? undefined : backend.base_url,
          action: () => actions.open(backend),
        },
    { id: 'free', label: t('backends.actions.free'), icon: 'pi-eraser', disabled: away, action: () => void actions.free(backend) },
    {
      id: 'interrupt',
      label: t('backends.actions.interrupt'),
      icon: 'pi-stop-circle',
      disabled: ours === 0 ? t('backends.actions.nothingOfOurs') : undefined,
      action() {
        actions.interrupting.value = backend
      },
    },
    {
      id: 'drain',
      label: backend.draining ? t('backends.actions.resume') : t('backends.actions.drain'),
      icon: backend.draining ? 'pi-play' : 'pi-hourglass',
      disabled: backend.enabled ? undefined : t('backends.actions.isDisabled'),
      action: () => void actions.setDraining(backend, !backend.draining),
    },
    {
      id: 'enabled',
      label: backend.enabled ? t('backends.actions.disable') : t('backends.actions.enable'),
      icon: backend.enabled ? 'pi-ban' : 'pi-check-circle',
      action: () => void actions.setEnabled(backend, !backend.enabled),
    },
    backend.local
      ? {
          id: 'token',
          label: t('backends.token.entry'),
          icon: 'pi-key',
          action() {
            actions.showingToken.value = true
          },
        }
      : null,
    backend.local ? null : { id: 'edit', label: t('backends.actions.edit'), icon: 'pi-pencil', action: edit },
    backend.local
      ? null
      : { id: 'remove', label: t('backends.actions.remove'), icon: 'pi-trash', danger: true, action: () => actions.remove(backend) },
  ]
  return entries.filter((entry) => entry !== null)
}
