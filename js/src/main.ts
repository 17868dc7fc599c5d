import { api } from '/scripts/api.js'
import { app } from '/scripts/app.js'

import { start } from './start'

start(app, api)
