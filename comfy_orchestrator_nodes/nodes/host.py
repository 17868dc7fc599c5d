"""What nodes need of the ComfyUI they run in, as one small interface: the extension implements it, tests do too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..orchestrator.snapshot import Snapshot
from ..service import Service
from .crossing import Crossing


@dataclass(frozen=True)
class Execution:
    """The node execution under way: which prompt, which node (ids are unique within the prompt)."""

    prompt_id: str
    node_id: str


class Host(Protocol):
    """The master's ComfyUI."""

    crossing: Crossing

    def snapshot(self) -> Snapshot:
        """Return what may be read from any thread."""

    def service(self) -> Service:
        """Return the running service.

        Raises:
            OrchestratorError: it is not running on this server; the message says why.
        """

    def execution(self) -> Execution:
        """Return the execution of the calling node. Read it before the first await."""

    def client_id(self) -> str | None:
        """Return the browser that queued the running prompt."""

    def owner(self, execution: Execution) -> str | None:
        """Return the user who queued the prompt, where ComfyUI knows several."""

    def show_progress(self, execution: Execution, value: float, maximum: float, previews: Sequence[bytes]) -> None:
        """Show progress, and preview images if there are any side by side, on the node."""

    def show_text(self, execution: Execution, text: str) -> None:
        """Show a line of text on the node."""

    def save_previews(self, images: Any) -> list[dict[str, Any]]:
        """Write images into ComfyUI's folder for previews, and return how its front end finds them. Blocks.

        Args:
            images: a float tensor of shape (batch, height, width, channels) from 0 to 1.
        """

    def show_result(self, execution: Execution, node_id: str, ui: Mapping[str, Any]) -> None:
        """Show on a node of the same prompt what it has made, in the browser that queued it."""

    def node_classes(self) -> Collection[str]:
        """Return the node classes of this server."""

    def blocker(self, message: str | None) -> Any:
        """Return ComfyUI's ExecutionBlocker: without a message it prunes silently."""

    def interrupt(self) -> Exception:
        """Return the exception by which a node tells ComfyUI that it was interrupted."""
