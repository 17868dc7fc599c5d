"""Export and import: definitions with all that they use, in one file, and never anything overwritten in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ..domain import Definition
from ..errors import Conflict, NotFound
from ..workflow import bundle
from ..workflow.bundle import Bundle
from ..workflow.nested import used_definitions, with_renamed, with_renamed_document
from ..workflow.requirements import Requirements
from .documents import Documents
from .library import Library

_MADE_BY = "comfyui-orchestrator"


class OnConflict(str, Enum):
    """What to do with a definition whose id is taken by one of other content."""

    REFUSE = "refuse"
    """Import nothing and say which."""
    NEW_VERSION = "new_version"
    """Store it as the next version of the one that is there."""
    NEW_ID = "new_id"
    """Store it under another id, which the definitions of the same file then use."""


class Action(str, Enum):
    """What became of a definition of the file."""

    CREATED = "created"
    REUSED = "reused"
    """The same content was there already, and was left alone."""
    NEW_VERSION = "new_version"
    RENAMED = "renamed"
    """Its id was taken, so it got another."""


@dataclass(frozen=True)
class Imported:
    """One definition of the file as it is in the library now, and the id that it had in the file."""

    definition: Definition
    action: Action
    id_in_file: str
    """Empty for a workflow, which has none."""


class Standing(str, Enum):
    """How the library stands to a definition that came with a workflow."""

    UNKNOWN = "unknown"
    """Nothing has its id."""
    EQUAL = "equal"
    """The same content is there under the same id."""
    DIFFERS = "differs"
    """Its id is taken by other content."""


@dataclass(frozen=True)
class Compared:
    """One definition of a file beside the library."""

    definition: Definition
    standing: Standing
    here: Definition | None
    """What the library has under its id."""
    same_as: str | None
    """The id under which the library has the same content, if it has."""


@dataclass(frozen=True)
class Carried:
    """What a meta-graph carries: the text for its document, and which definitions that holds."""

    text: str
    """Empty if it carries nothing."""
    ids: tuple[str, ...]


class Exchange:
    """Lets definitions leave and enter the library. Lives on the server loop."""

    def __init__(self, library: Library, documents: Documents, *, version: str) -> None:
        self._library = library
        self._documents = documents
        self._made_by = f"{_MADE_BY} {version}"

    async def export(self, definition_id: str, version: int | None = None) -> bytes:
        """Return one version of a definition, with the latest of each that it uses, as a file.

        Raises:
            NotFound: there is no such definition or version.
            Conflict: it uses one that is not in the library.
        """
        found = await self._with_used(await self._library.stored(definition_id, version))
        needs: dict[str, Requirements] = {d.id: await self._documents.needs(d) for d in found}
        return await asyncio.to_thread(bundle.write, found, needs, self._made_by)

    async def embed(self, definition_ids: Sequence[str]) -> Carried:
        """Return definitions, with the latest of each that they use, as the text that a meta-graph carries.

        Workflow documents and names of backends are left out: the text goes into every image that the meta-graph makes.

        Raises:
            NotFound: there is no such definition.
            Conflict: one uses another that is not in the library, or there are too many.
        """
        roots = [await self._library.version(id_) for id_ in dict.fromkeys(definition_ids)]
        found = [
            replace(definition, workflow=None, knobs=replace(definition.knobs, prefer=None))
            for definition in await self._with_used(*roots)
        ]
        if len(found) > bundle.MAX_DEFINITIONS:
            raise Conflict(f"A workflow carries at most {bundle.MAX_DEFINITIONS} others, not {len(found)}.")
        if not found:
            return Carried("", ())
        text = (await asyncio.to_thread(bundle.write, found, {}, self._made_by, indent=None)).decode()
        return Carried(text, tuple(definition.id for definition in found))

    async def compare(self, file: Bundle) -> tuple[Compared, ...]:
        """Say of each definition of a file how the library stands to it, in the order of their dependencies."""
        everything = await self._library.list()
        by_id = {definition.id: definition for definition in everything}
        twins = {definition.content_hash: definition.id for definition in reversed(everything)}
        return tuple(
            Compared(d, _standing(by_id.get(d.id), d), by_id.get(d.id), twins.get(d.content_hash))
            for d in file.definitions
        )

    async def add(self, definition: Definition) -> Imported:
        """Store what was made from a workflow, unless the same is there under the same name.

        Raises:
            Conflict: the id that it asks for is taken by other content.
        """
        twin = await self._twin(definition)
        if twin is not None and definition.id in ("", twin.id):
            return Imported(twin, Action.REUSED, "")
        return Imported(await self._library.create(definition), Action.CREATED, "")

    async def take(self, file: Bundle, on_conflict: OnConflict = OnConflict.REFUSE) -> tuple[Imported, ...]:
        """Store what a file holds, and return it in the order of the file's dependencies: the exported one is last.

        A definition whose content is in the library under the same id is reused. Every conflict is found before
        anything is stored, and importing the same file again changes nothing.

        Raises:
            Conflict: an id is taken by other content, and ``on_conflict`` refuses that.
            StoreError: it could not be stored.
        """
        if on_conflict is OnConflict.REFUSE:
            await self._refuse_conflicts(file)
        names: dict[str, str] = {}
        imported = []
        for definition in file.definitions:
            renamed = _renamed(definition, names)
            taken = await self._take_one(renamed, on_conflict)
            names[definition.id] = taken.definition.id
            imported.append(taken)
        root = next(one for one in imported if one.id_in_file == file.root)
        return (*(one for one in imported if one is not root), root)

    async def absent(self, definition: Definition) -> tuple[str, ...]:
        """Return the ids of what a definition runs and the library does not have."""
        return tuple([used for used in used_definitions(definition.prompt) if await self._known(used) is None])

    async def _with_used(self, *roots: Definition) -> list[Definition]:
        """Return definitions, followed by the latest of each that they use."""
        found = {root.id: root for root in roots}
        waiting = list(roots)
        while waiting:
            user = waiting.pop()
            for used in used_definitions(user.prompt):
                if used not in found:
                    found[used] = await self._used_by(user, used)
                    waiting.append(found[used])
        return list(found.values())

    async def _refuse_conflicts(self, file: Bundle) -> None:
        taken = [d for d in file.definitions if (known := await self._known(d.id)) is not None and _differ(known, d)]
        if not taken:
            return
        listed = ", ".join(repr(definition.id) for definition in taken[:5]) + (", …" if len(taken) > 5 else "")
        raise Conflict(
            f"The library already has {listed} with other content. Nothing was imported: choose whether it becomes a "
            "new version ('new_version') or gets another id ('new_id').",
            ids=[definition.id for definition in taken],
            choices=[OnConflict.NEW_VERSION.value, OnConflict.NEW_ID.value],
        )

    async def _take_one(self, definition: Definition, on_conflict: OnConflict) -> Imported:
        known = await self._known(definition.id)
        if known is None:
            return Imported(await self._library.create(definition), Action.CREATED, definition.id)
        if not _differ(known, definition):
            return Imported(known, Action.REUSED, definition.id)
        if on_conflict is OnConflict.REFUSE:
            # Somebody stored it since the conflicts were looked for.
            raise Conflict(f"The library already has {definition.id!r} with other content.", ids=[definition.id])
        if on_conflict is OnConflict.NEW_VERSION:
            # What it is called has no versions, so the library's own name and tags are not overwritten; nor are knobs.
            following = replace(definition, name=known.name, description=known.description, tags=known.tags)
            return Imported(await self._library.save(following), Action.NEW_VERSION, definition.id)
        twin = await self._twin(definition)
        if twin is not None:
            return Imported(twin, Action.REUSED, definition.id)
        created = await self._library.create(replace(definition, id=""))
        return Imported(created, Action.RENAMED, definition.id)

    async def _known(self, definition_id: str) -> Definition | None:
        try:
            return await self._library.version(definition_id)
        except NotFound:
            return None

    async def _twin(self, definition: Definition) -> Definition | None:
        """Return what an earlier import of the same file stored under another id."""
        everything = await self._library.list()
        return next((d for d in everything if d.name == definition.name and not _differ(d, definition)), None)

    async def _used_by(self, user: Definition, used: str) -> Definition:
        try:
            return await self._library.stored(used)
        except NotFound:
            raise Conflict(
                f"{user.name!r} runs the workflow {used!r}, which is not in the library: without it the file would be "
                "of no use. Put it back, or take it out of there, before you export.",
                missing=used,
            ) from None


def _renamed(definition: Definition, names: dict[str, str]) -> Definition:
    changed = {old: new for old, new in names.items() if old != new}
    if not changed:
        return definition
    workflow = definition.workflow
    return replace(
        definition,
        prompt=with_renamed(definition.prompt, changed),
        workflow=None if workflow is None else with_renamed_document(workflow, changed),
    )


def _standing(here: Definition | None, came: Definition) -> Standing:
    if here is None:
        return Standing.UNKNOWN
    return Standing.DIFFERS if _differ(here, came) else Standing.EQUAL


def _differ(one: Definition, other: Definition) -> bool:
    return one.content_hash != other.content_hash
