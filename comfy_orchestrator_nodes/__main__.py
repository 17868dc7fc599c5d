"""``python -m comfy_orchestrator_nodes``: the command-line client (``docs/cli.md``)."""

from __future__ import annotations

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
