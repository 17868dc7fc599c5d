"""The library: definitions made from prompts, kept in versions, published for the nodes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..domain import Definition, JobStatus, Knobs
from ..errors import Conflict, InvalidRequest
from ..store.definitions import DefinitionRepository
from ..store.jobs import JobFilter, JobRepository
from ..workflow.nested import used_definitions
from .snapshot import Publisher

_CACHED_VERSIONS = 256
_LISTED_JOBS = 100
_UNFINISHED = tuple(status for status in JobStatus if not status.final)


@dataclass(frozen=True)
class Uses:
    """What would be hurt if a definition went away."""

    definitions: tuple[Definition, ...]
    """Those whose latest version runs it in a Remote Workflow node, by name; not itself."""
    unfinished_jobs: tuple[str, ...]
    """Ids of jobs of it that are not over, the newest first, at most 100."""


class Library:
    """Keeps definitions. Lives on the server loop."""

    def __init__(
        self,
        repository: DefinitionRepository,
        jobs: JobRepository,
        publisher: Publisher,
        *,
        clock: Callable[[], float],
        removed: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Make it without reading anything.

        Args:
            repository: where definitions are kept.
            jobs: tells which jobs use a definition.
            publisher: where the latest versions are published.
            clock: seconds since the epoch.
            removed: called with the id of each definition that was deleted.
        """
        self._repository = repository
        self._jobs = jobs
        self._clock = clock
        self._publisher = publisher
        self._removed = removed
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

    async def stored(self, definition_id: str, version: int | None = None) -> Definition:
        """Return one version of a definition, the latest if none is given, with its workflow document.

        Raises:
            NotFound: there is no such definition or version.
        """
        return await self._repository.get(definition_id, version)

    async def create(self, definition: Definition) -> Definition:
        """Store a new definition; an empty id is made from its name.

        Raises:
            Conflict: the id is taken.
            InvalidRequest: it would run itself.
        """
        draft = definition if definition.id else replace(definition, id=await self._repository.free_id(definition.name))
        self._refuse_circle(draft)
        stored = await self._repository.create(replace(draft, created_at=self._clock()))
        await self._publish()
        return stored

    async def save(self, definition: Definition) -> Definition:
        """Store a new version of a definition; runs under way keep the version they started with.

        Raises:
            NotFound: there is no definition of that id.
            InvalidRequest: it would run itself.
        """
        self._refuse_circle(definition)
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
        knobs: Knobs | None = None,
    ) -> Definition:
        """Change a definition's name, description, tags or knobs; its id and its versions stay.

        Raises:
            NotFound: there is none of that id.
        """
        stored = await self._repository.describe(
            definition_id, name=name, description=description, tags=tags, knobs=knobs
        )
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
            InvalidRequest: it would run itself, through what others run by now.
        """
        self._refuse_circle(await self._repository.get(definition_id, version))
        stored = await self._repository.roll_back(definition_id, version)
        await self._publish()
        return stored

    async def uses(self, definition_id: str) -> Uses:
        """Return who uses a definition.

        Raises:
            NotFound: there is none of that id.
        """
        await self.version(definition_id)
        everything = self._publisher.current.definitions.values()
        users = (d for d in everything if d.id != definition_id and definition_id in used_definitions(d.prompt))
        page = await self._jobs.list(JobFilter(_UNFINISHED, definition_id=definition_id), limit=_LISTED_JOBS)
        return Uses(tuple(users), tuple(job.id for job in page.jobs))

    async def remove(self, definition_id: str, *, force: bool = False) -> None:
        """Delete a definition with all its versions.

        Args:
            definition_id: which one.
            force: also if other definitions run it; their Remote Workflow nodes will then name what is not there.

        Raises:
            NotFound: there is none of that id.
            Conflict: a job under way uses it, or, without ``force``, another definition does.
        """
        users = (await self.uses(definition_id)).definitions
        if users and not force:
            listed = ", ".join(repr(user.name) for user in users[:5]) + (", …" if len(users) > 5 else "")
            raise Conflict(
                f"{definition_id!r} is used by {listed}, which could no longer run without it. Take it out of there "
                "first, or delete it all the same ('force').",
                id=definition_id,
                used_by=[user.id for user in users],
            )
        await self._repository.remove(definition_id)
        for key in [key for key in self._versions if key[0] == definition_id]:
            del self._versions[key]
        await self._publish()
        self._removed(definition_id)

    async def list(self, *, search: str = "", tag: str | None = None) -> tuple[Definition, ...]:
        """Return the latest version of each definition, by name, without the workflow documents.

        Args:
            search: only definitions that hold each of these words, without regard to case, in id, name, description or
                tags.
            tag: only definitions that carry this tag.
        """
        words = search.casefold().split()
        return tuple(
            definition
            for definition in self._publisher.current.definitions.values()
            if (tag is None or tag in definition.tags) and all(word in _searched(definition) for word in words)
        )

    async def versions(self, definition_id: str) -> tuple[Definition, ...]:
        """Return all versions of a definition, newest first, with their workflow documents.

        Raises:
            NotFound: there is none of that id.
        """
        return await self._repository.versions(definition_id)

    def _refuse_circle(self, definition: Definition) -> None:
        """Refuse what would run itself, directly or through others: it would never end."""
        library = self._publisher.current.definitions
        came_from: dict[str, str] = dict.fromkeys(used_definitions(definition.prompt), definition.id)
        waiting = list(came_from)
        while waiting:
            current = waiting.pop()
            if current == definition.id:
                raise InvalidRequest(f"{definition.name!r} would run itself: {_way(current, came_from)}.", id=current)
            known = library.get(current)
            for used in used_definitions(known.prompt) if known is not None else ():
                if used not in came_from:
                    came_from[used] = current
                    waiting.append(used)

    async def _publish(self) -> None:
        self._publisher.definitions(await self._repository.list())


def _searched(definition: Definition) -> str:
    return "\n".join((definition.id, definition.name, definition.description, *definition.tags)).casefold()


def _way(definition_id: str, came_from: Mapping[str, str]) -> str:
    """Return the ids from a definition around to itself."""
    way = [definition_id]
    while len(way) == 1 or way[-1] != definition_id:
        way.append(came_from[way[-1]])
    return " runs ".join(reversed(way))
