"""How the definitions that a meta-graph carries look in requests and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..orchestrator.exchange import Carried, Compared, OnConflict, Standing
from ..workflow.bundle import MAX_DEFINITIONS
from ..workflow.nested import used_definitions
from .definition_schemas import DefinitionSummary, Slug
from .library_schemas import FileQuery
from .schemas import Body, View


class EmbedRequest(Body):
    """Which definitions a meta-graph uses."""

    ids: Annotated[list[Slug], Field(max_length=MAX_DEFINITIONS)]


class CarriedView(View):
    """What to write into the workflow document."""

    definitions: str = Field(
        description="For `extra.orchestrator.definitions`, as it is. Empty if there is nothing to carry: leave it out."
    )
    ids: list[str] = Field(description="The definitions in it: those asked for, then those that they run.")

    @classmethod
    def of(cls, carried: Carried) -> CarriedView:
        """Return it as it is shown."""
        return cls(definitions=carried.text, ids=list(carried.ids))


class EmbeddedQuery(FileQuery):
    """Which of the definitions that a file carries enter the library, and how."""

    id: Annotated[list[Slug], Field(max_length=MAX_DEFINITIONS)] = Field(
        default=[], description="May be repeated; what these run comes along. Left out, all are imported."
    )
    on_conflict: OnConflict = Field(
        default=OnConflict.REFUSE, description="What to do where an id is taken by other content."
    )


class EmbeddedView(View):
    """One definition that a file carries, beside the library."""

    id: str
    name: str
    description: str
    tags: list[str]
    content_hash: str
    runs: list[str] = Field(description="Ids of the definitions that it runs itself.")
    standing: Standing
    here: DefinitionSummary | None = Field(description="What the library has under its id; null if nothing.")
    same_as: str | None = Field(
        description="The id under which the library has the same content: another one after an import as `new_id`."
    )

    @classmethod
    def of(cls, compared: Compared) -> EmbeddedView:
        """Return it as it is shown."""
        definition, here = compared.definition, compared.here
        return cls(
            id=definition.id,
            name=definition.name,
            description=definition.description,
            tags=list(definition.tags),
            content_hash=definition.content_hash,
            runs=list(used_definitions(definition.prompt)),
            standing=compared.standing,
            here=None if here is None else DefinitionSummary.of(here),
            same_as=compared.same_as,
        )


class EmbeddedList(View):
    """What a workflow carries, and what it lacks."""

    definitions: list[EmbeddedView] = Field(description="In the order of their dependencies.")
    missing: list[str] = Field(
        description="Ids that its Remote Workflow nodes name and that are neither carried nor in the library."
    )
