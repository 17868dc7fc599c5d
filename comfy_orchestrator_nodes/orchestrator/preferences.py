"""What the user has set: kept in the store, in force from the moment it is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace

from ..domain import Json
from ..errors import InvalidRequest
from ..store.settings import SettingRepository

log = logging.getLogger(__name__)

KEY = "preferences"

GIB = 2**30


@dataclass(frozen=True)
class Preferences:
    """Everything there is to set. Seconds, days, bytes; ``docs/api.md`` tells what each does."""

    attempts: int = 3
    on_failure: str = "fail"
    time_limit_s: float | None = None
    decision_limit_s: float = 60.0
    placement_wait_s: float = 60.0
    stall_limit_s: float = 600.0
    artifact_limit_bytes: int = 20 * GIB
    history_days: float = 30.0
    history_jobs: int = 20_000


@dataclass(frozen=True)
class _Range:
    """The numbers that a setting may have."""

    least: float
    most: float
    whole: bool = False
    empty: bool = False
    """Whether None is a value too."""


_RANGES: Mapping[str, _Range] = {
    "attempts": _Range(1, 100, whole=True),
    "time_limit_s": _Range(1, 30 * 86_400, empty=True),
    # ComfyUI's whole queue waits while a node in it waits for a person or a backend.
    "decision_limit_s": _Range(1, 7 * 86_400),
    "placement_wait_s": _Range(1, 7 * 86_400),
    "stall_limit_s": _Range(10, 7 * 86_400),
    "artifact_limit_bytes": _Range(2**26, 2**50, whole=True),
    "history_days": _Range(0.25, 3650),
    "history_jobs": _Range(100, 10_000_000, whole=True),
}

ON_FAILURE = ("fail", "drop", "ask")


class PreferenceBook:
    """The preferences in force. Lives on the server loop."""

    def __init__(
        self, settings: SettingRepository, defaults: Preferences, *, changed: Callable[[Preferences], None]
    ) -> None:
        """Begin with the defaults.

        Args:
            settings: where what differs from them is kept.
            defaults: what holds where nothing was set.
            changed: called with the preferences when they were read or changed; must not raise.
        """
        self._settings = settings
        self._subscribers = [changed]
        self._overrides: dict[str, Json] = {}
        self.defaults = defaults
        self.current = defaults

    async def start(self) -> None:
        """Read what was set. What cannot be used any more counts as not set."""
        stored = await self._settings.get(KEY)
        for name, value in stored.items() if isinstance(stored, dict) else ():
            try:
                self._overrides[name] = checked(name, value)
            except InvalidRequest as error:  # noqa: PERF203 - each setting for itself
                log.warning("A stored setting is not used: %s", error)
        self._apply()

    def subscribe(self, changed: Callable[[Preferences], None]) -> Callable[[], None]:
        """Call ``changed`` with the preferences whenever they change, until the returned function is called."""
        self._subscribers.append(changed)
        return lambda: self._subscribers.remove(changed)

    async def change(self, changes: Mapping[str, Json], *, reset: tuple[str, ...] = ()) -> Preferences:
        """Set what is given, and set back to the default what is named in ``reset``; both hold at once.

        Raises:
            InvalidRequest: there is no such setting, or a value is out of range. Nothing was changed.
            StoreError: it could not be stored. Nothing was changed.
        """
        for name in reset:
            _known(name)
        wanted = {**self._overrides, **{name: checked(name, value) for name, value in changes.items()}}
        kept = {name: value for name, value in wanted.items() if name not in reset}
        await self._settings.put(KEY, kept)
        self._overrides = kept
        self._apply()
        return self.current

    def _apply(self) -> None:
        self.current = replace(self.defaults, **self._overrides)
        for changed in list(self._subscribers):
            changed(self.current)


def checked(name: str, value: Json) -> Json:
    """Return a setting's value if it can be used.

    Raises:
        InvalidRequest: there is no such setting, or the value is not one of its.
    """
    _known(name)
    if name == "on_failure":
        if value not in ON_FAILURE:
            raise InvalidRequest(f"on_failure is one of {', '.join(ON_FAILURE)}, not {value!r}.")
        return value
    allowed = _RANGES[name]
    if value is None and allowed.empty:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not allowed.least <= value <= allowed.most or (allowed.whole and value != int(value)):
        kind = "a whole number" if allowed.whole else "a number"
        raise InvalidRequest(f"{name} is {kind} from {allowed.least:g} to {allowed.most:g}, not {value!r}.")
    return int(value) if allowed.whole else float(value)


def limits() -> dict[str, dict[str, Json]]:
    """Return the least and the most of every setting that is a number."""
    return {name: {"least": allowed.least, "most": allowed.most} for name, allowed in _RANGES.items()}


def shown(preferences: Preferences) -> dict[str, Json]:
    """Return preferences as JSON."""
    return asdict(preferences)


def _known(name: str) -> None:
    names = [field.name for field in fields(Preferences)]
    if name not in names:
        raise InvalidRequest(f"There is no setting {name!r}. There are: {', '.join(names)}.")
