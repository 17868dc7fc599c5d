"""The settings: what there is to set, within which bounds, and what is in force."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StrictFloat, StrictInt

from ..errors import InvalidRequest, StoreError
from ..orchestrator.preferences import Preferences, limits, shown
from ..service import Service
from .knob_schemas import Attempts, OnFailure, TimeLimit
from .schemas import Body, View
from .table import Call, Route

Number = StrictInt | StrictFloat

_SAYS = {
    "attempts": "How often a job is tried, where neither its node nor its definition says.",
    "on_failure": "What then happens: fail, drop the item, or ask.",
    "time_limit_s": "How long a job may run there; null: for ever.",
    "decision_limit_s": "How long a job that asks waits for an answer before it fails. The queue waits meanwhile.",
    "placement_wait_s": "How long a job waits when every backend that could run it is away.",
    "stall_limit_s": "How long a running prompt may be silent before it is taken off its backend.",
    "artifact_limit_bytes": "How much the stored files may take; what was unused for longest goes first.",
    "history_days": "How long jobs and runs that have ended are kept.",
    "history_jobs": "How many of them are kept at most.",
}


class SettingsValues(View):
    """A value for each setting."""

    attempts: int = Field(description=_SAYS["attempts"])
    on_failure: str = Field(description=_SAYS["on_failure"])
    time_limit_s: float | None = Field(description=_SAYS["time_limit_s"])
    decision_limit_s: float = Field(description=_SAYS["decision_limit_s"])
    placement_wait_s: float = Field(description=_SAYS["placement_wait_s"])
    stall_limit_s: float = Field(description=_SAYS["stall_limit_s"])
    artifact_limit_bytes: int = Field(description=_SAYS["artifact_limit_bytes"])
    history_days: float = Field(description=_SAYS["history_days"])
    history_jobs: int = Field(description=_SAYS["history_jobs"])

    @classmethod
    def of(cls, preferences: Preferences) -> SettingsValues:
        """Return preferences as they are shown."""
        return cls(**shown(preferences))


class RangeView(View):
    """The least and the most that a number may be."""

    least: float
    most: float


class SettingsView(View):
    """What is in force, what would be if nothing were set, and the bounds of what is a number."""

    settings: SettingsValues
    defaults: SettingsValues
    ranges: dict[str, RangeView]


class SettingsBody(Body):
    """What is to change; what is left out stays."""

    attempts: Attempts | None = Field(default=None, description=_SAYS["attempts"])
    on_failure: OnFailure | None = Field(default=None, description=_SAYS["on_failure"])
    time_limit_s: TimeLimit | None = Field(default=None, description=_SAYS["time_limit_s"])
    decision_limit_s: Number | None = Field(default=None, description=_SAYS["decision_limit_s"])
    placement_wait_s: Number | None = Field(default=None, description=_SAYS["placement_wait_s"])
    stall_limit_s: Number | None = Field(default=None, description=_SAYS["stall_limit_s"])
    artifact_limit_bytes: StrictInt | None = Field(default=None, description=_SAYS["artifact_limit_bytes"])
    history_days: Number | None = Field(default=None, description=_SAYS["history_days"])
    history_jobs: StrictInt | None = Field(default=None, description=_SAYS["history_jobs"])
    reset: Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=50)] = Field(
        default_factory=list, description="Settings that go back to their defaults."
    )

    def changes(self) -> dict[str, Any]:
        """Return what was given; null counts as given only where it is a value."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"reset"}}
        return {name: value for name, value in given.items() if value is not None or name == "time_limit_s"}


async def get_settings(call: Call) -> SettingsView:
    """Return the settings in force, with their defaults and bounds."""
    return _view(call.service)


async def change_settings(call: Call, body: SettingsBody) -> SettingsView:
    """Change settings. They hold at once, for jobs under way too where that makes sense, and over restarts."""
    await call.service.preferences.change(body.changes(), reset=tuple(body.reset))
    return _view(call.service)


def _view(service: Service) -> SettingsView:
    book = service.preferences
    return SettingsView(
        settings=SettingsValues.of(book.current),
        defaults=SettingsValues.of(book.defaults),
        ranges={name: RangeView(**bounds) for name, bounds in limits().items()},
    )


ROUTES = (
    Route("GET", "/settings", get_settings),
    Route("PATCH", "/settings", change_settings, (InvalidRequest, StoreError)),
)
