"""How long a prompt spent in nodes that load model files, as far as its messages tell. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend.messages import Cached, Executing, ExecutionError, Interrupted, Message, Started, Success
from ..domain import Prompt
from ..workflow.graph import inputs_of
from ..workflow.models import is_model_file


@dataclass
class Loading:
    """Adds up the time between the messages of one prompt.

    What counts is the time in nodes that name a model file. ComfyUI may put off a part of the work to the node that
    first uses the model, such as moving it onto the GPU; that counts as running.
    """

    prompt_id: str
    prompt: Prompt
    _sum_s: float = 0.0
    _since: float | None = None
    """When the node that runs now began to load, if it is one that does."""
    _heard: bool = False
    _missed: bool = False

    def read(self, message: Message, now: float) -> None:
        """Take in one message that came at ``now``."""
        match message:
            case Executing(prompt_id=self.prompt_id, node_id=node):
                self._heard = True
                self._pause(now)
                if node is not None and self._loads(node):
                    self._since = now
            case Started(prompt_id=self.prompt_id) | Cached(prompt_id=self.prompt_id):
                self._heard = True
            case (
                Success(prompt_id=self.prompt_id)
                | ExecutionError(prompt_id=self.prompt_id)
                | Interrupted(prompt_id=self.prompt_id)
            ):
                self._pause(now)
            case _:
                return

    def miss(self) -> None:
        """Take note that messages may have been missed: the time is not known any more."""
        self._missed = True

    def so_far(self) -> tuple[float | None, float | None]:
        """Return the seconds of the loads that are over, and when the one under way began; None: not known, or none."""
        if self._missed or not self._heard:
            return None, None
        return self._sum_s, self._since

    def total_s(self, now: float) -> float | None:
        """Return the seconds spent until now, or None if they are not known or the prompt did not begin."""
        if self._missed or not self._heard:
            return None
        return self._sum_s + (max(0.0, now - self._since) if self._since is not None else 0.0)

    def _pause(self, now: float) -> None:
        if self._since is not None:
            # The clock may have been set back.
            self._sum_s += max(0.0, now - self._since)
            self._since = None

    def _loads(self, node_id: str) -> bool:
        node = self.prompt.get(node_id)
        return node is not None and any(is_model_file(value) for value in inputs_of(node).values())
