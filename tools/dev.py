"""One command for everything a developer does here; see ``python tools/dev.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.devtools import interpreter

if __name__ == "__main__":
    refusal = interpreter.refusal()
    if refusal:
        sys.exit(refusal)
    from tools.devtools.commands import main

    sys.exit(main(sys.argv[1:]))
