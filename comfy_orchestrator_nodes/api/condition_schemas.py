"""How expressions of Conditions, their problems and their language look in requests and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..conditions import Entry, Reference
from ..errors import OrchestratorError
from .schemas import Body, View

MAX_TEXT = 4_000
"""Characters of an expression that is looked at: more than the language allows, so that it can say so itself."""


class ConditionCheck(Body):
    """What a Condition node holds, as the user types it."""

    expression: Annotated[str, Field(max_length=MAX_TEXT)]
    names: Annotated[str, Field(max_length=MAX_TEXT)] = Field(default="", description="The text of its `names` widget.")
    connected: Annotated[list[Annotated[str, Field(max_length=20)]], Field(max_length=32)] | None = Field(
        default=None, description="Its connected inputs, such as `a` and `value_1`; left out, all count as connected."
    )


class NameView(View):
    """A name that the expression may use."""

    name: str
    input: str = Field(description="The input of the node that it stands for.")


class ConditionProblem(View):
    """Why an expression cannot be used, and where."""

    widget: Literal["expression", "names"]
    position: int = Field(description="Of the first character that is wrong, from 0, counted in Unicode characters.")
    length: int = Field(description="Of what is wrong; 0 at the end of the text.")
    message: str
    suggestion: str | None = Field(description="What to put in its place, if that can be told.")

    @classmethod
    def of(cls, error: OrchestratorError, widget: Literal["expression", "names"], text: str) -> ConditionProblem:
        """Return a problem as it is shown; one that has no place is about the whole text."""
        details = error.details()
        return cls(
            widget=widget,
            position=details.get("position", 0),
            length=details.get("length", len(text)),
            message=details.get("reason", error.message),
            suggestion=details.get("suggestion"),
        )


class ConditionChecked(View):
    """Whether an expression can be used, and what it may be made of."""

    ok: bool
    problem: ConditionProblem | None = Field(description="The first one; null if it is fine.")
    names: list[NameView] = Field(description="Names that it may use; none while `names` is unusable.")


class WordView(View):
    """One word of the language."""

    name: str
    usage: str
    help: str

    @classmethod
    def of(cls, entry: Entry) -> WordView:
        """Return a word as it is shown."""
        return cls(name=entry.name, usage=entry.usage, help=entry.help)


class LanguageView(View):
    """All words that an expression may hold, besides the names of inputs."""

    functions: list[WordView]
    methods: list[WordView] = Field(description="Of texts: after a dot, with brackets.")
    fields: dict[str, list[WordView]] = Field(description="By type of the input: after a dot, without brackets.")
    keywords: list[str]

    @classmethod
    def of(cls, reference: Reference) -> LanguageView:
        """Return the language as it is shown."""
        return cls(
            functions=[WordView.of(entry) for entry in reference.functions],
            methods=[WordView.of(entry) for entry in reference.methods],
            fields={kind: [WordView.of(entry) for entry in entries] for kind, entries in reference.fields.items()},
            keywords=list(reference.keywords),
        )
