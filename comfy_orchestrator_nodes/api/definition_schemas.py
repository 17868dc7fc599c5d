"""How definitions look in requests and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from ..domain import Definition, Knobs, Output, Parameter
from ..orchestrator.choices import Choice
from ..workflow.fragments import Refusal
from ..workflow.inspect import Inspection
from .backend_schemas import Name, Notes, Tags
from .knob_schemas import Attempts, OnFailure, Prefer, TimeLimit
from .schemas import Body, Problem, Query, View, Visible

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]
SlotName = Annotated[str, Field(min_length=1, max_length=100), Visible]
NodeId = Annotated[str, Field(min_length=1, max_length=500)]
TypeName = Annotated[str, Field(min_length=1, max_length=100)]
Version = Annotated[int, Field(ge=1, le=2**31)]
Number = StrictInt | StrictFloat


class ParameterBody(Body):
    """One input of the prompt to be exposed."""

    name: SlotName
    type: TypeName = Field(description="ComfyUI type, such as STRING, INT, COMBO or IMAGE.")
    node_id: NodeId
    input_name: NodeId
    default: Any = None
    required: StrictBool = False
    minimum: Number | None = None
    maximum: Number | None = None
    step: Number | None = None
    choices: list[Any] | None = None
    multiline: StrictBool = False
    tooltip: Annotated[str, Field(max_length=10_000)] = ""
    role: Annotated[str, Field(max_length=60)] = ""

    def to_domain(self) -> Parameter:
        """Return it as the domain has it."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Parameter(**{**fields, "choices": None if self.choices is None else tuple(self.choices)})


class OutputBody(Body):
    """One link inside the prompt to be exposed: the output ``index`` of a node."""

    name: SlotName
    type: TypeName
    node_id: NodeId
    index: Annotated[StrictInt, Field(ge=0, le=1000)]

    def to_domain(self) -> Output:
        """Return it as the domain has it."""
        return Output(self.name, self.type, self.node_id, self.index)


class PromptBody(Body):
    """A prompt to look into. Nothing is stored."""

    prompt: dict[str, Any] = Field(description="API format: node id to class_type and inputs.")


class ContentBody(PromptBody):
    """What a version of a definition is made of. Parameters or outputs that are left out are suggested ones."""

    parameters: Annotated[list[ParameterBody], Field(max_length=1000)] | None = None
    outputs: Annotated[list[OutputBody], Field(max_length=1000)] | None = None
    workflow: dict[str, Any] | None = Field(default=None, description="The document it was made from, for editing.")


class DefinitionBody(ContentBody):
    """A definition to be stored."""

    name: Name
    id: Slug | None = Field(default=None, description="Made from the name when it is left out; never changes.")
    description: Notes = ""
    tags: Tags = ()


class VersionBody(ContentBody):
    """A new version. Name, description and tags stay where they are left out."""

    name: Name | None = None
    description: Notes | None = None
    tags: Tags | None = None


class KnobsBody(Body):
    """How the definition's jobs are run where whoever asks for one does not say. What is null the settings decide."""

    on_failure: OnFailure | None = None
    attempts: Attempts | None = None
    time_limit_s: TimeLimit | None = None
    cache: StrictBool | None = Field(default=None, description="Whether an equal job's result or run may be shared.")
    prefer: Prefer | None = None

    def to_domain(self) -> Knobs:
        """Return them as the domain has them."""
        return Knobs(self.on_failure, self.attempts, self.time_limit_s, self.cache, self.prefer)


class DescriptionBody(Body):
    """What a definition is called and how it is run. What is left out stays; ``knobs`` are replaced as a whole."""

    name: Name | None = None
    description: Notes | None = None
    tags: Tags | None = None
    knobs: KnobsBody | None = None


class RollBackBody(Body):
    """Which version becomes the newest again."""

    version: Annotated[StrictInt, Field(ge=1, le=2**31)]


class DuplicateBody(Body):
    """What the copy is called."""

    name: Name | None = None


class ListQuery(Query):
    """Restricts the list; what is left out does not."""

    search: str = Field(default="", max_length=200, description="Looked for in id, name and description.")
    tag: Annotated[str, Field(max_length=60)] | None = None


class VersionQuery(Query):
    """Which version; the latest when it is left out."""

    version: Version | None = None


class DefinitionQuery(VersionQuery):
    """Which version, and how much of it."""

    workflow: bool = Field(default=False, description="Whether to answer the document it was made from, too.")


class RemoveQuery(Query):
    """Whether to delete what others use."""

    force: bool = Field(default=False, description="Also when other definitions run it.")


class ParameterView(View):
    """One exposed input."""

    name: str
    type: str
    node_id: str
    input_name: str
    default: Any
    required: bool
    minimum: float | None
    maximum: float | None
    step: float | None
    choices: list[Any] | None
    multiline: bool
    tooltip: str
    role: str

    @classmethod
    def of(cls, parameter: Parameter) -> ParameterView:
        """Return a parameter as it is shown."""
        choices = None if parameter.choices is None else list(parameter.choices)
        return cls(**{**vars(parameter), "choices": choices})


class KnobsView(View):
    """How the definition's jobs are run where whoever asks for one does not say; what is null the settings decide."""

    on_failure: str | None
    attempts: int | None
    time_limit_s: float | None
    cache: bool | None
    prefer: list[str] | None

    @classmethod
    def of(cls, knobs: Knobs) -> KnobsView:
        """Return knobs as they are shown."""
        return cls(**{**vars(knobs), "prefer": None if knobs.prefer is None else list(knobs.prefer)})


class OutputView(View):
    """One exposed output."""

    name: str
    type: str
    node_id: str
    index: int

    @classmethod
    def of(cls, output: Output) -> OutputView:
        """Return an output as it is shown."""
        return cls(**vars(output))


class DefinitionSummary(View):
    """A definition without its prompt."""

    id: str
    version: int
    name: str
    description: str
    tags: list[str]
    parameters: list[ParameterView]
    outputs: list[OutputView]
    knobs: KnobsView
    content_hash: str = Field(description="Of all that decides a result.")
    created_at: float

    @classmethod
    def of(cls, definition: Definition) -> DefinitionSummary:
        """Return a definition as lists show it."""
        return cls(**_summary(definition))


class DefinitionView(DefinitionSummary):
    """One version of a definition."""

    prompt: dict[str, Any]
    workflow: dict[str, Any] | None = Field(description="null unless it was asked for.")

    @classmethod
    def of(cls, definition: Definition) -> DefinitionView:
        """Return a definition with its prompt."""
        workflow = None if definition.workflow is None else dict(definition.workflow)
        return cls(**_summary(definition), prompt=dict(definition.prompt), workflow=workflow)


class DefinitionList(View):
    """Definitions by name, the latest version of each; or the versions of one, the newest first."""

    definitions: list[DefinitionSummary]


class InspectionView(View):
    """What a prompt offers, and what should be exposed of it unless the user decides otherwise."""

    parameters: list[ParameterView]
    outputs: list[OutputView]
    suggested_parameters: list[str]
    suggested_outputs: list[str]
    unknown_classes: list[str] = Field(description="Classes that no reachable backend has.")
    remarks: list[str]

    @classmethod
    def of(cls, found: Inspection) -> InspectionView:
        """Return an inspection as it is shown."""
        return cls(
            parameters=[ParameterView.of(p) for p in found.parameters],
            outputs=[OutputView.of(o) for o in found.outputs],
            suggested_parameters=list(found.suggested_parameters),
            suggested_outputs=list(found.suggested_outputs),
            unknown_classes=list(found.unknown_classes),
            remarks=list(found.remarks),
        )


class MissingView(View):
    """One reason why a backend cannot run a definition."""

    kind: str = Field(description="node_class, model, choice or carrier.")
    message: str
    node_id: str | None
    class_type: str | None
    input_name: str | None
    value: Any
    near: list[str] = Field(description="What may have been meant.")

    @classmethod
    def of(cls, refusal: Refusal) -> MissingView:
        """Return a refusal as it is shown."""
        return cls(
            kind=refusal.kind,
            message=refusal.text,
            node_id=refusal.node_id,
            class_type=refusal.class_type,
            input_name=refusal.input_name,
            value=refusal.value,
            near=list(refusal.near),
        )


class BackendPreflight(View):
    """Whether one backend has what a definition needs."""

    backend_id: str
    backend: str
    able: bool | None = Field(description="null where it could not be found out; problem says why.")
    missing: list[MissingView]
    problem: Problem | None = None


class PreflightView(View):
    """Each backend's answer, this server first."""

    definition: str
    version: int
    backends: list[BackendPreflight]


class ChoiceView(View):
    """One value that can be chosen."""

    value: Any
    backends: list[str] = Field(description="Ids of the backends that offer it; empty where none could be asked.")


class ChoicesView(View):
    """What can be chosen now for each parameter that takes one of a list, by its name."""

    definition: str
    version: int
    choices: dict[str, list[ChoiceView]]

    @classmethod
    def of(cls, definition: Definition, offered: Mapping[str, Sequence[Choice]]) -> ChoicesView:
        """Return choices as they are shown."""
        shown = {
            name: [ChoiceView(value=choice.value, backends=list(choice.backend_ids)) for choice in choices]
            for name, choices in offered.items()
        }
        return cls(definition=definition.id, version=definition.version, choices=shown)


def _summary(definition: Definition) -> dict[str, Any]:
    return {
        "id": definition.id,
        "version": definition.version,
        "name": definition.name,
        "description": definition.description,
        "tags": list(definition.tags),
        "parameters": [ParameterView.of(p) for p in definition.parameters],
        "outputs": [OutputView.of(o) for o in definition.outputs],
        "knobs": KnobsView.of(definition.knobs),
        "content_hash": definition.content_hash,
        "created_at": definition.created_at,
    }
