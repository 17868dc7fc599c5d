"""What the owner of a peer may set: a file in the agent's folder, and the environment, which wins."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .blobs import DEFAULT_LIMIT_BYTES

log = logging.getLogger(__name__)

FILE_NAME = "settings.json"
ENVIRONMENT = "COMFY_ORCHESTRATOR_AGENT_"
_LONGEST = 1 << 16
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True)
class Settings:
    """All of them, with what holds where nothing is said."""

    blob_limit_gib: float = DEFAULT_LIMIT_BYTES / 2**30
    """How much room values of masters may take in the temp folder."""
    require_token: bool = False
    """Want the token from this machine too: for a proxy in front that does not tell that it is one."""
    freeze: bool | None = None
    """Spare the objects of the start from garbage collection; None: on where the agent is installed alone."""

    @property
    def blob_limit_bytes(self) -> int:
        """The limit in bytes."""
        return int(self.blob_limit_gib * 2**30)

    def freezes(self, *, dedicated: bool) -> bool:
        """Whether to freeze, on a ComfyUI that is there for masters only or not."""
        return dedicated if self.freeze is None else self.freeze

    @classmethod
    def read(cls, folder: Path, environment: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings. What cannot be understood is logged and counts as not said."""
        found = _from_file(folder / FILE_NAME)
        for name in ("blob_limit_gib", "require_token", "freeze"):
            told = environment.get(ENVIRONMENT + name.upper())
            if told is not None:
                found[name] = _parsed(told)
        limit, wants, freeze = (found.get(name) for name in ("blob_limit_gib", "require_token", "freeze"))
        given: dict[str, Any] = {}
        if isinstance(limit, (int, float)) and not isinstance(limit, bool) and 0 < limit < 1 << 20:
            given["blob_limit_gib"] = float(limit)
        if isinstance(wants, bool):
            given["require_token"] = wants
        if isinstance(freeze, bool):
            given["freeze"] = freeze
        for name in sorted(found.keys() - given.keys()):
            log.warning("ComfyUI Orchestrator's agent: the setting %s is unknown or has no value of its kind", name)
        return cls(**given)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            document = json.loads(file.read(_LONGEST))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("ComfyUI Orchestrator's agent: %s cannot be read: %s", path, error)
        return {}
    return document if isinstance(document, dict) else {}


def _parsed(text: str) -> Any:
    word = text.strip().lower()
    if word in _YES + _NO:
        return word in _YES
    try:
        return float(word)
    except ValueError:
        return text
