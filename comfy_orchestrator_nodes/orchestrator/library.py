"""The library: definitions made from prompts, kept in versions, published for the nodes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from ..domain import Definition
from ..store.definitions import DefinitionRepository
from .snapshot import Publisher

_CACHED_VERSIONS = 256


class Library:
    """Keeps definitions. Lives on the server loop."""

    def __init__(self, repository: DefinitionRepository, publisher: Publisher, *, clock: Callable[[], float]) -> None:
        self._repository = repository
        self._clock = clock
        self._publisher = publisher
        self._versions: OrderedDict[tuple[str, int], Definition] = OrderedDict()

    async def start(self) -> None:
        """Publish what is stored."""
        await self._publish()

    async def version(self, definition_id: str, version: int | None = None) -> Definition:
        """Return one version of a definition, the latest if none is given, without touching the disk for a known one.

        Raises:
            NotFound: there is no such definition or version; near matches are named.
        """
        latest = self._publisher.current.definitions.get(definition_id)
        if latest is not None and version in (None, latest.version):
            return latest
        if version is None:
            return await self._repository.get(definition_id)
        key = (definition_id, version)
        known = self._versions.get(key)
        if known is None:
            known = self._versions[key] = await self._repository.get(definition_id, version)
            if len(self._versions) > _CACHED_VERSIONS:
                self._versions.popitem(last=False)
        return known

    async def create(self, definition: Definition) -> Definition:
        """Store a new definition; an empty id is made from its name.

        Raises:
            Conflict: the id is taken.
        """
        draft = definition if definition.id else replace(definition, id=await self._repository.free_id(definition.name))
        stored = await self._repository.create(replace(draft, created_at=self._clock()))
        await self._publish()
        return stored

    async def save(self, definition: Definition) -> Definition:
        """Store a new version of a definition; runs under way keep the version they started with.

        Raises:
            NotFound: there is no definition of that id.
        """
        stored = await self._repository.save(replace(definition, created_at=self._clock()))
        await self._publish()
        return stored

    async def describe(
        self,
        definition_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: tuple[str, ...] | None = None,
    ) -> Definition:
        """Change a definition's name, description or tags; its id and its versions stay.

        Raises:
            NotFound: there is none of that id.
        """
        stored = await self._repository.describe(definition_id, name=name, description=description, tags=tags)
        self._versions.clear()
        await self._publish()
        return stored

    async def duplicate(self, definition_id: str, *, name: str | None = None) -> Definition:
        """Store a copy of a definition's latest version under a new id.

        Raises:
            NotFound: there is none of that id.
        """
        stored = await self._repository.duplicate(definition_id, name=name)
        await self._publish()
        return stored

    async def roll_back(self, definition_id: str, version: int) -> Definition:
        """Make an older version the newest again, as a new version: nothing of the history is lost.

        Raises:
            NotFound: there is no such definition or version.
        """
        stored = await self._repository.roll_back(definition_id, version)
        await self._publish()
        return stored

    async def remove(self, definition_id: str) -> None:
        """Delete a definition with all its versions.

        Raises:
            NotFound: there is none of that id.
            Conflict: a job under way uses it.
        """
        await self._repository.remove(definition_id)
        for key in [key for key in self._versions if key[0] == definition_id]:
            del self._versions[key]
        await self._publish()

    async def list(self, *, search: str = "", tag: str | None = None) -> tuple[Definition, ...]:
        """Return the latest version of each definition, by name, without the workflow documents."""
        return await self._repository.list(search=search, tag=tag)

    async def versions(self, definition_id: str) -> tuple[Definition, ...]:
        """Return all versions of a definition, newest first, with their workflow documents.

        Raises:
            NotFound: there is none of that id.
        """
        return await self._repository.versions(definition_id)

    async def _publish(self) -> None:
        self._publisher.definitions(await self._repository.list())
