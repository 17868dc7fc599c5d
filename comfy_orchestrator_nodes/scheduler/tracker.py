"""Reads one prompt's messages: how far it is, what it showed, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..backend.messages import (
    Cached,
    Executed,
    Executing,
    ExecutionError,
    Interrupted,
    Message,
    Progress,
    ProgressState,
    Started,
    Success,
)
from ..backend.results import NodeError, NodeOutput
from ..domain import Prompt

BLOCKED = "ExecutionBlocked"
"""The exception type under which ComfyUI reports a blocker with a message; the prompt goes on (execution.py)."""


@dataclass(frozen=True)
class Ended:
    """The prompt is over: with an error, by an interrupt, or well."""

    error: NodeError | None = None
    interrupted: bool = False

    @property
    def well(self) -> bool:
        """Whether every node ended well."""
        return self.error is None and not self.interrupted


Notable: TypeAlias = "Ended | Began | Advanced | None"


@dataclass(frozen=True)
class Began:
    """The backend took the prompt from its queue."""


@dataclass(frozen=True)
class Advanced:
    """The prompt is further than before."""

    done_ratio: float
    node_id: str | None


@dataclass
class Tracker:
    """Follows one prompt through its messages. ``outputs`` fills up as nodes show theirs."""

    prompt_id: str
    prompt: Prompt
    outputs: dict[str, NodeOutput] = field(default_factory=dict)
    blocked: NodeError | None = None
    """A blocker's message, which says why an output may be missing though the prompt succeeds."""
    _finished: set[str] = field(default_factory=set)
    _current: str | None = None
    _fraction: float = 0.0
    _began: bool = False

    def read(self, message: Message) -> Notable:
        """Take in one message; return what is worth acting on, or None."""
        if getattr(message, "prompt_id", self.prompt_id) not in (self.prompt_id, None):
            return None
        match message:
            case Started():
                return self._begin()
            case Cached(node_ids=nodes):
                self._finished.update(n for n in nodes if n in self.prompt)
                return self._begin()
            case Executing(prompt_id=self.prompt_id, node_id=str(node)):
                return self._enter(node)
            case Progress(prompt_id=self.prompt_id, node_id=str(node), value=value, maximum=maximum):
                return self._step(node, value, maximum)
            case ProgressState(nodes=nodes_state):
                self._finished.update(n for n, p in nodes_state.items() if p.state == "finished" and n in self.prompt)
                return None
            case Executed(node_id=node, output=output):
                self.outputs[node] = output
                return None
            case ExecutionError(error=error):
                return self._fail(error)
            case Interrupted():
                return Ended(interrupted=True)
            case Success():
                return Ended()
            case _:
                return None

    @property
    def done_ratio(self) -> float:
        """How much of the prompt is done, 0 to 1, every node counting alike."""
        total = max(1, len(self.prompt))
        return min(1.0, (len(self._finished) + self._fraction) / total)

    def class_type(self, node_id: str | None) -> str | None:
        """Return the class of a node of the prompt."""
        node: Mapping[str, object] = self.prompt.get(node_id or "", {})
        found = node.get("class_type")
        return found if isinstance(found, str) else None

    @property
    def began(self) -> bool:
        """Whether the backend is known to have taken the prompt from its queue."""
        return self._began

    def begin(self) -> bool:
        """Note that the prompt runs; return whether that is news."""
        news = not self._began
        self._began = True
        return news

    def _begin(self) -> Began | None:
        return Began() if self.begin() else None

    def _enter(self, node: str) -> Advanced:
        if self._current is not None and self._current in self.prompt:
            self._finished.add(self._current)
        self._current = node
        self._fraction = 0.0
        return Advanced(self.done_ratio, node)

    def _step(self, node: str, value: float, maximum: float) -> Advanced | None:
        if node != self._current or maximum <= 0:
            return None
        self._fraction = max(0.0, min(1.0, value / maximum))
        return Advanced(self.done_ratio, node)

    def _fail(self, error: NodeError) -> Ended | None:
        if error.exception_type == BLOCKED:
            self.blocked = error
            return None
        return Ended(error=error)
