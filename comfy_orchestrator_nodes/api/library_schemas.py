"""How files, drafts, uses and thumbnails look in requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ..orchestrator.documents import Draft
from ..orchestrator.exchange import Action, Imported, OnConflict
from ..orchestrator.library import Uses
from ..orchestrator.thumbnails import Thumbnail
from ..workflow.requirements import Requirements
from .backend_schemas import Name
from .definition_schemas import DefinitionSummary, InspectionView, Slug
from .schemas import PREFIX, Query, View

FileName = Annotated[str, Field(max_length=255)]


class FileQuery(Query):
    """What the uploaded file is called; for messages, and for the name of what is made from it."""

    filename: FileName = ""


class ImportQuery(FileQuery):
    """How a file enters the library."""

    name: Name | None = Field(default=None, description="For a workflow: made from the file's name when left out.")
    id: Slug | None = Field(default=None, description="For a workflow: made from the name when left out.")
    on_conflict: OnConflict = Field(
        default=OnConflict.REFUSE,
        description="For exported definitions: what to do where an id is taken by other content.",
    )


class NeedView(View):
    """A model file that a node names."""

    node_id: str
    class_type: str
    input_name: str
    value: str


class NeedsView(View):
    """What must be there wherever a definition runs."""

    node_classes: list[str]
    models: list[NeedView]
    definitions: list[str] = Field(description="Ids of definitions that its Remote Workflow nodes run.")

    @classmethod
    def of(cls, needs: Requirements) -> NeedsView:
        """Return requirements as they are shown."""
        models = [NeedView(**vars(need)) for need in needs.models]
        return cls(node_classes=list(needs.node_classes), models=models, definitions=list(needs.definitions))


class DraftView(View):
    """What was found in a file, before anything is stored."""

    found: str = Field(description="In a sentence.")
    converted: bool = Field(description="Whether the prompt was made from the workflow here.")
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    inspection: InspectionView
    needs: NeedsView
    warnings: list[str] = Field(description="What the user should know before storing it.")

    @classmethod
    def of(cls, draft: Draft) -> DraftView:
        """Return a draft as it is shown."""
        return cls(
            found=draft.found,
            converted=draft.converted,
            prompt=dict(draft.prompt),
            workflow=None if draft.workflow is None else dict(draft.workflow),
            inspection=InspectionView.of(draft.inspection),
            needs=NeedsView.of(draft.needs),
            warnings=list(draft.warnings),
        )


class ImportedView(View):
    """One definition of a file, as it is in the library now."""

    definition: DefinitionSummary
    action: Action
    id_in_file: str | None = Field(description="null for a workflow, which has none.")

    @classmethod
    def of(cls, imported: Imported) -> ImportedView:
        """Return an imported definition as it is shown."""
        summary = DefinitionSummary.of(imported.definition)
        return cls(definition=summary, action=imported.action, id_in_file=imported.id_in_file or None)


class ImportView(View):
    """What became of a file. The definition that it was about is the last of the list."""

    found: str
    imported: list[ImportedView]
    warnings: list[str]


class UsesView(View):
    """Who would miss a definition."""

    definitions: list[DefinitionSummary] = Field(description="Those that run it in a Remote Workflow node.")
    unfinished_jobs: list[str] = Field(description="Ids of jobs of it that are not over; at most 100.")

    @classmethod
    def of(cls, uses: Uses) -> UsesView:
        """Return uses as they are shown."""
        listed = [DefinitionSummary.of(definition) for definition in uses.definitions]
        return cls(definitions=listed, unfinished_jobs=list(uses.unfinished_jobs))


class ThumbnailView(View):
    """Where a definition's thumbnail is; another picture has another address."""

    sha256: str
    media_type: str
    url: str

    @classmethod
    def of(cls, definition_id: str, thumbnail: Thumbnail) -> ThumbnailView:
        """Return a thumbnail as it is shown."""
        url = f"{PREFIX}/thumbnails/{definition_id}?sha256={thumbnail.sha256}"
        return cls(sha256=thumbnail.sha256, media_type=thumbnail.media_type, url=url)


class ThumbnailList(View):
    """The thumbnails by definition id; a definition that never had a result has none."""

    thumbnails: dict[str, ThumbnailView]


class ThumbnailQuery(Query):
    """Which picture is expected."""

    sha256: Annotated[str, Field(max_length=64)] = Field(
        default="", description="When it is the present one, the answer may be kept for ever."
    )
