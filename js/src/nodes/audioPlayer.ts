import { forget, type CanvasNode, type Widget } from './litegraph'

const HEIGHT_PX = 40

/** A player on a node, below the widget that names the sound. Loads nothing before somebody presses play. */
export function addAudioPlayer(node: CanvasNode, name: string, label: string): { widget: Widget; show(url: string): void } {
  const element = document.createElement('div')
  element.className = 'orc-node-audio'
  const player = document.createElement('audio')
  player.controls = true
  player.preload = 'none'
  player.setAttribute('aria-label', label)
  element.append(player)
  const widget = node.addDOMWidget(name, 'orchestrator-audio', element, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => HEIGHT_PX,
    getMaxHeight: () => HEIGHT_PX,
    margin: 4,
    getValue: () => '',
    setValue: () => undefined,
  })
  forget(widget)
  return {
    widget,
    show(url) {
      player.hidden = url === ''
      if (url === '') player.removeAttribute('src')
      else player.src = url
    },
  }
}
