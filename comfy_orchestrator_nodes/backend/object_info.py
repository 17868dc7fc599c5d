"""What a backend's node classes look like, kept so that the heavy document is read once per version of the backend.

A class's entry holds the lists of files that its combos offer, so it goes out of date without any change of version:
``refresh`` reads one class again, at most once in a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from ..domain import Capabilities
from ..workflow.nodeinfo import NodeInfo

T = TypeVar("T")


class ObjectInfoSource(Protocol):
    """Where node classes are read from; ``ComfyClient`` is one."""

    async def object_info(self, class_type: str) -> NodeInfo | None:
        """Return one class, or None where the backend has none of that name."""
        ...

    async def all_object_info(self) -> Mapping[str, NodeInfo]:
        """Return all classes."""
        ...


class ObjectInfoCache:
    """The node classes of one backend. Callers that ask for the same at the same time share one request."""

    def __init__(
        self, source: ObjectInfoSource, *, refresh_interval_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._refresh_interval_s = refresh_interval_s
        self._clock = clock
        self._classes: dict[str, NodeInfo | None] = {}
        self._read_at: dict[str, float] = {}
        self._complete = False
        self._fingerprint: tuple[str, frozenset[str]] | None = None
        self._generation = 0
        self._flights: dict[object, asyncio.Task[Any]] = {}

    async def get(self, class_type: str) -> NodeInfo | None:
        """Return a class, or None where the backend has none of that name.

        Raises:
            BackendError: it had to be read and could not be.
        """
        if class_type in self._classes:
            return self._classes[class_type]
        if self._complete:
            return None
        return await self._read_class(class_type)

    async def many(self, class_types: Iterable[str]) -> dict[str, NodeInfo]:
        """Return those of the classes that the backend has.

        Raises:
            BackendError: some had to be read and could not be.
        """
        wanted = list(dict.fromkeys(class_types))
        found = await asyncio.gather(*(self.get(class_type) for class_type in wanted))
        return {class_type: info for class_type, info in zip(wanted, found, strict=True) if info is not None}

    async def all(self) -> Mapping[str, NodeInfo]:
        """Return every class that the backend has.

        Raises:
            BackendError: they had to be read and could not be.
        """
        if not self._complete:
            await self._once(None, self._read_all)
        return {class_type: info for class_type, info in self._classes.items() if info is not None}

    async def refresh(self, class_type: str) -> NodeInfo | None:
        """Return a class as it is now: read again unless that was done within the last ``refresh_interval_s``.

        Raises:
            BackendError: it had to be read and could not be.
        """
        read_at = self._read_at.get(class_type)
        if read_at is not None and self._clock() - read_at < self._refresh_interval_s:
            return self._classes.get(class_type)
        return await self._read_class(class_type)

    def fill(self, classes: Mapping[str, NodeInfo]) -> None:
        """Take over a complete document that was read for another purpose."""
        now = self._clock()
        self._classes = dict(classes)
        self._read_at = dict.fromkeys(classes, now)
        self._complete = True

    def revalidate(self, capabilities: Capabilities) -> bool:
        """Forget everything if the backend's version or its set of classes is another one; return whether it was."""
        fingerprint = (capabilities.comfyui_version, capabilities.node_classes)
        changed = self._fingerprint is not None and self._fingerprint != fingerprint
        self._fingerprint = fingerprint
        if changed:
            self.clear()
        return changed

    def clear(self) -> None:
        """Forget everything; what is being read at this moment is not kept either."""
        self._generation += 1
        self._classes = {}
        self._read_at = {}
        self._complete = False
        self._flights = {}

    async def _read_class(self, class_type: str) -> NodeInfo | None:
        async def read() -> NodeInfo | None:
            generation = self._generation
            info = await self._source.object_info(class_type)
            if generation == self._generation:
                self._classes[class_type] = info
                self._read_at[class_type] = self._clock()
            return info

        return await self._once(class_type, read)

    async def _read_all(self) -> None:
        generation = self._generation
        classes = await self._source.all_object_info()
        if generation == self._generation:
            self.fill(classes)

    async def _once(self, key: object, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Share one request among all who ask while it is under way; a caller that gives up leaves it to the others."""
        task: asyncio.Task[T] | None = self._flights.get(key)
        if task is None:
            task = asyncio.create_task(read())
            self._flights[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    def _landed(self, key: object, task: asyncio.Task[Any]) -> None:
        if self._flights.get(key) is task:
            del self._flights[key]
        if not task.cancelled():
            # Everyone who waited may be gone; asyncio would complain that nobody looked at the error.
            task.exception()
