"""The composition root: what ComfyUI loads. The only module that touches ComfyUI's server.

ComfyUI imports custom nodes on its server loop before it listens, so everything is prepared here and started by a task
on that loop. Nothing is shut down in order, because ComfyUI itself is not (its main.py ends without cleaning up the
application); the store is built for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import folder_paths
import nodes as comfy_nodes
from aiohttp import web
from comfy import model_management
from comfy.cli_args import args
from comfy_execution.graph_utils import ExecutionBlocker
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context
from server import PromptServer

from . import __version__
from .agent import pack as agent
from .api.access import Access
from .api.events import BrowserEvents
from .api.routes import add_routes
from .domain import LOCAL_BACKEND_ID, Backend, RunStatus, TlsOptions
from .errors import StoreError
from .flow.wiring import wire_guards
from .nodes import flow as flow_nodes
from .nodes import handles, remote_workflow, show
from .nodes import io as io_nodes
from .nodes.crossing import Crossing
from .nodes.host import Execution
from .nodes.mosaic import mosaic
from .nodes.owners import Owners
from .nodes.picked import load_picked
from .nodes.prompt_handler import SHOW, annotate, show_ends
from .orchestrator.snapshot import Publisher, Snapshot
from .service import DATABASE_NAME, Service, new_uuid, open_service
from .store.lock import StoreLock
from .workflow.graph import REMOTE_WORKFLOW
from .workflow.needs import FileName

log = logging.getLogger(__name__)

FOLDER = "__comfy_orchestrator"
"""Our folder below ComfyUI's user directory. Names with two underscores are not served by ``/userdata``."""


RUN_POLL_S = 1.0

_ENDINGS: Mapping[Any, RunStatus] = {"success": RunStatus.SUCCEEDED, "error": RunStatus.FAILED}


class Extension:
    """This master: one per ComfyUI process."""

    def __init__(self, server: PromptServer) -> None:
        self._server = server
        self._owners = Owners(self._user_of, new_uuid)
        if args.multi_user:
            server.app.middlewares.append(self._owners.middleware())
        self._events = BrowserEvents(server.send_sync)
        self._publisher = Publisher(self._events.library_changed)
        self._stack = AsyncExitStack()
        self._lock: StoreLock | None = None
        self.crossing = Crossing(server.loop, model_management.processing_interrupted)
        self.access = Access(__version__, self._events)
        self._starting = server.loop.create_task(self._start(), name="orchestrator start")

    # --- life

    async def _start(self) -> None:
        folder = Path(folder_paths.get_user_directory()) / FOLDER
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = StoreLock.acquire(folder / DATABASE_NAME, port=args.port)
            service = await self._stack.enter_async_context(
                open_service(
                    folder,
                    _this_server(),
                    _locate,
                    clock=time.time,
                    publisher=self._publisher,
                    backends_changed=self._events.backends_changed,
                )
            )
        except (StoreError, OSError) as error:
            self._refuse(str(error))
            # Told in full by its message; a traceback would only hide it.
            log.error("ComfyUI Orchestrator does not work on this server: %s", error)  # noqa: TRY400
            return
        except Exception as error:
            self._refuse(f"The orchestrator failed to start: {error}. The server's log holds the details.")
            log.exception("ComfyUI Orchestrator failed to start")
            return
        self.access.open(service)
        self._events.attach(service)
        self._runs = self._server.loop.create_task(self._end_runs(service), name="orchestrator runs")
        log.info("ComfyUI Orchestrator is ready (%d backends)", len(service.registry.list()))

    async def _end_runs(self, service: Service) -> None:
        """Note how prompts ended that started jobs: ComfyUI tells nobody but the browser that queued them."""
        while True:
            await asyncio.sleep(RUN_POLL_S)
            for run_id in service.orchestrator.open_runs:
                ended = self._ending(run_id)
                if ended is not None:
                    await service.orchestrator.end_run(run_id, ended)

    def _ending(self, prompt_id: str) -> RunStatus | None:
        """Return how a prompt of this server ended, or None while it runs."""
        queue = self._server.prompt_queue
        with queue.mutex:
            # The prompt's id is the second element in every version, however many follow.
            if any(item[1] == prompt_id for item in queue.currently_running.values()):
                return None
        status = (queue.get_history(prompt_id=prompt_id).get(prompt_id) or {}).get("status") or {}
        if any(name == "execution_interrupted" for name, _ in status.get("messages", ())):
            return RunStatus.CANCELLED
        return _ENDINGS.get(status.get("status_str"), RunStatus.CANCELLED)

    def _refuse(self, problem: str) -> None:
        self._publisher.problem(problem)
        self.access.close(problem)

    # --- what nodes need (nodes.host.Host)

    def snapshot(self) -> Snapshot:
        """Return what may be read from any thread."""
        return self._publisher.current

    def service(self) -> Service:
        """Return the running service, or raise why there is none."""
        return self.access.service()

    def execution(self) -> Execution:
        """Return the execution of the calling node."""
        context = get_executing_context()
        if context is None:
            raise RuntimeError("ComfyUI does not tell which node runs: version 0.3.60 or newer is needed")
        return Execution(context.prompt_id, context.node_id)

    def client_id(self) -> str | None:
        """Return the browser that queued the running prompt."""
        client_id: str | None = self._server.client_id
        return client_id

    def owner(self, execution: Execution) -> str | None:
        """Return the user who queued the prompt, where ComfyUI knows several."""
        return self._owners.of(execution.prompt_id)

    def show_progress(self, execution: Execution, value: float, maximum: float, previews: Sequence[bytes]) -> None:
        """Show progress on the node, unless ComfyUI is at another prompt by now: its registry is one for all."""
        registry = get_progress_state()
        if registry.prompt_id != execution.prompt_id:
            return
        picture = mosaic(previews)
        # ComfyUI encodes the picture again on its own loop.
        registry.update_progress(
            execution.node_id, value, maximum, None if picture is None else ("JPEG", picture, None)
        )

    def show_text(self, execution: Execution, text: str) -> None:
        """Show a line of text on the node, in the browser that queued the prompt."""
        registry = get_progress_state()
        if registry.prompt_id != execution.prompt_id:
            return
        # What a node expands into is not on the canvas: the node itself shows it.
        node_id = registry.dynprompt.get_display_node_id(execution.node_id)
        self._server.send_progress_text(text, node_id, self._server.client_id)

    def save_previews(self, images: Any) -> list[dict[str, Any]]:
        """Write images into ComfyUI's folder for previews, as its own preview node does."""
        files: list[dict[str, Any]] = comfy_nodes.PreviewImage().save_images(images)["ui"]["images"]
        return files

    def show_result(self, execution: Execution, node_id: str, ui: Mapping[str, Any]) -> None:
        """Show on a node what it has made, in the browser that queued the prompt."""
        told = {"node": node_id, "display_node": node_id, "output": ui, "prompt_id": execution.prompt_id}
        self._server.send_sync("executed", told, self._server.client_id)

    def node_classes(self) -> Collection[str]:
        """Return the node classes of this server."""
        classes: Mapping[str, type] = comfy_nodes.NODE_CLASS_MAPPINGS
        return classes.keys()

    def blocker(self, message: str | None) -> Any:
        """Return ComfyUI's ExecutionBlocker."""
        return ExecutionBlocker(message)

    def interrupt(self) -> Exception:
        """Return ComfyUI's own exception for an interrupt, after taking note of it as its nodes do."""
        model_management.interrupt_current_processing(False)
        interrupted: Exception = model_management.InterruptProcessingException()
        return interrupted

    def _user_of(self, request: web.Request) -> str | None:
        """Return the user who makes a request, or None for one that ComfyUI does not know and will refuse."""
        try:
            user: str = self._server.user_manager.get_request_user_id(request)
        except KeyError:
            return None
        return user

    # --- what ComfyUI calls

    def on_prompt(self, json_data: dict[str, Any]) -> dict[str, Any]:
        """Prepare a prompt before it is validated."""
        prompt = json_data.get("prompt")
        if not isinstance(prompt, dict):
            return json_data
        definition = self.snapshot().definitions.get
        shown = show_ends(prompt, definition, _is_output)
        annotated = annotate(load_picked(shown, definition), definition)
        return {**self._owners.note(json_data), "prompt": wire_guards(annotated, _reshapes)}


def _this_server() -> Backend:
    """Return this server as a backend: where it listens for itself."""
    listen = args.listen.split(",")[0].strip()
    host = "127.0.0.1" if listen in ("", "0.0.0.0") else "[::1]" if listen == "::" else listen
    secure = bool(args.tls_keyfile and args.tls_certfile)
    url = f"{'https' if secure else 'http'}://{host}:{args.port}"
    # Its own certificate need not be valid for the loopback address; the request does not leave this machine.
    return Backend(LOCAL_BACKEND_ID, "This server", url, tls=TlsOptions(verify=not secure))


def _is_output(class_type: str) -> bool:
    """Whether ComfyUI runs nodes of a class for their own sake."""
    return bool(getattr(comfy_nodes.NODE_CLASS_MAPPINGS.get(class_type), "OUTPUT_NODE", False))


def _reshapes(class_type: str) -> bool:
    """Whether a node class takes or makes whole lists, so that its items are not those that came in."""
    node = comfy_nodes.NODE_CLASS_MAPPINGS.get(class_type)
    return bool(getattr(node, "INPUT_IS_LIST", False)) or any(getattr(node, "OUTPUT_IS_LIST", None) or ())


def _locate(name: FileName) -> Path | None:
    """Find a file that loader nodes name, in ComfyUI's own three folders and nowhere outside of them."""
    root = folder_paths.get_directory_by_type(name.folder)
    if root is None:
        return None
    path = (Path(root) / name.subfolder / name.filename).resolve()
    return path if path.is_file() and path.is_relative_to(Path(root).resolve()) else None


def _tell_of_missing_front_end() -> None:
    if not (Path(__file__).resolve().parents[1] / "web" / "orchestrator.js").is_file():
        log.warning(
            "ComfyUI Orchestrator: the nodes work, but their front end is not built. Run 'python install.py' in the "
            "pack's folder (it needs Node.js 20.19 or newer), then reload the browser."
        )


def load() -> tuple[dict[str, type], dict[str, str]]:
    """Start master and agent on ComfyUI's server; return their node classes and display names."""
    _tell_of_missing_front_end()
    server = PromptServer.instance
    agent_classes, agent_names = agent.load(dedicated=False)
    extension = Extension(server)
    add_routes(server.routes, extension.access)
    server.add_on_prompt_handler(extension.on_prompt)
    classes = {
        REMOTE_WORKFLOW: remote_workflow.build(extension),
        **flow_nodes.build(extension),
        **handles.build(extension),
        **show.build(extension),
        **io_nodes.NODE_CLASS_MAPPINGS,
        **agent_classes,
    }
    names = {
        REMOTE_WORKFLOW: "Remote Workflow",
        **flow_nodes.NODE_DISPLAY_NAME_MAPPINGS,
        **io_nodes.NODE_DISPLAY_NAME_MAPPINGS,
        **agent_names,
        handles.NATIVE: "Native Value (internal)",
        SHOW: "Show Result (internal)",
    }
    return classes, names
