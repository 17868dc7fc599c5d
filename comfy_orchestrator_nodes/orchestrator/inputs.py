"""Files that a definition's loader nodes name without being exposed: found on the master, stored, sent along."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

from ..backend.carriers import media_type_of
from ..backend.peer import Farm
from ..domain import LOCAL_BACKEND_ID, Definition, FileRef
from ..errors import BackendError
from ..store.artifacts import ArtifactStore
from ..workflow.graph import class_type
from ..workflow.needs import FileName, files_needed
from ..workflow.nodeinfo import NodeInfo
from ..workflow.patch import needed_prompt

Locate = Callable[[FileName], "Path | None"]
"""Where a file that loader nodes name lies on the master; None when it is not there."""


class InputFiles:
    """Stores the master's own copy of the files that definitions name, and remembers it while the file is unchanged."""

    def __init__(self, artifacts: ArtifactStore, farm: Farm, locate: Locate) -> None:
        self._artifacts = artifacts
        self._farm = farm
        self._locate = locate
        self._known: dict[tuple[Path, int, int], FileRef] = {}

    async def collect(
        self, definition: Definition, outputs: Collection[str], bound: Collection[str]
    ) -> dict[str, FileRef]:
        """Return name as written -> stored file, for every unexposed loader that the outputs depend on.

        A name that the master does not have is left out: the backend may have it in its own folders.

        Args:
            definition: what will run.
            outputs: which of its outputs are wanted.
            bound: names of the parameters that get a value.

        Raises:
            StoreFull: there is no room for a file.
        """
        prompt = needed_prompt(definition, tuple(outputs))
        exposed = {(p.node_id, p.input_name) for p in definition.parameters if p.name in bound}
        infos = await self._infos({class_type(node) for node in prompt.values()})
        found: dict[str, FileRef] = {}
        for need in files_needed(prompt, infos, exposed):
            path = self._locate(need.name)
            if path is not None:
                found[need.value] = await asyncio.to_thread(self._store, path)
        return found

    async def _infos(self, classes: Collection[str]) -> dict[str, NodeInfo]:
        """Return the master's own node classes; without them ComfyUI's stock loaders are still known by name."""
        local = self._farm.get(LOCAL_BACKEND_ID)
        if local is None:
            return {}
        try:
            return await local.infos.many(classes)
        except BackendError:
            return {}

    def _store(self, path: Path) -> FileRef:
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        known = self._known.get(key)
        if known is not None and self._artifacts.has(known):
            return known
        media_type = media_type_of(path.name)
        with path.open("rb") as source:
            ref = self._artifacts.put_file(source, media_type)
        self._known[key] = ref
        return ref
