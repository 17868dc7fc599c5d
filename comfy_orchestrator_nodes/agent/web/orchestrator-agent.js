// The sidebar of a peer that has the agent alone: its token. Where the whole pack is installed, that pack's sidebar
// shows it and this file is not served. Plain JavaScript, so that the agent has nothing to build.
import { app } from '/scripts/app.js'
import { api } from '/scripts/api.js'

const PATH = '/orchestrator/agent/token'
// A header that no page of another origin can send.
const OURS = { 'X-Orchestrator': '1' }

async function ask(path, method) {
  const response = await api.fetchApi(path, { method, headers: OURS })
  const body = await response.json()
  if (!response.ok) throw new Error(body.error?.message ?? response.statusText)
  return body
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

function render(root) {
  const token = element('code', { style: 'display: block; margin: 1em 0; overflow-wrap: anywhere; user-select: all' })
  const trouble = element('p', { role: 'alert', style: 'color: var(--error-text, #f44)' })

  async function show(path, method, question) {
    if (question && !window.confirm(question)) return
    trouble.textContent = ''
    try {
      const told = await ask(path, method)
      token.textContent = told.token ?? 'There is no token: only this machine gets in.'
    } catch (error) {
      trouble.textContent = error.message
    }
  }

  function button(label, path, method, question) {
    return element('button', {
      textContent: label,
      type: 'button',
      className: 'p-button p-component',
      style: 'margin: 0 0.5em 0.5em 0',
      onclick: () => show(path, method, question)
    })
  }

  root.replaceChildren(
    element(
      'div',
      { style: 'padding: 1em' },
      element('h3', { textContent: 'Orchestrator agent' }),
      element('p', {
        textContent:
          'A ComfyUI Orchestrator on another machine needs this token to exchange values with this server. ' +
          'It is shown only in a browser on this machine.'
      }),
      token,
      button('Show', PATH, 'POST'),
      button('New token', `${PATH}/rotate`, 'POST', 'Every master that has the old token must be given the new one.'),
      button('Revoke', PATH, 'DELETE', 'No other machine gets in until a new token is made.'),
      trouble
    )
  )
}

app.registerExtension({
  name: 'comfyui-orchestrator.agent',
  setup() {
    app.extensionManager.registerSidebarTab({
      id: 'comfyui-orchestrator-agent',
      icon: 'pi pi-key',
      title: 'Agent',
      tooltip: 'Orchestrator agent',
      type: 'custom',
      render
    })
  }
})
