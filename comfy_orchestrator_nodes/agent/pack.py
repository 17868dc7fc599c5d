"""What ComfyUI loads: the agent on ComfyUI's server. With ``nodes`` the only module that needs ComfyUI."""

from __future__ import annotations

import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import folder_paths
from aiohttp import web
from comfy import model_management
from server import PromptServer

from . import AGENT_VERSION
from .access import Access
from .blob_routes import BlobRoutes
from .blobs import BlobStore
from .errors import SetupFailed
from .introduction import Introduction, TokenRoutes
from .nodes import DISPLAY_NAMES, KNOWN_TYPES, UI_KEY, VALUE_IN, VALUE_OUT, build
from .routing import PREFIX, Part, add_parts
from .settings import Settings
from .stalls import Stalls
from .token import Token, announce
from .uploads import Uploads
from .values import Values
from .wire import MEDIA_TYPE, VERSION

log = logging.getLogger(__name__)

FOLDER = "__comfy_orchestrator_agent"
"""Our folder below ComfyUI's user directory. Names with two underscores are not served by ``/userdata``."""

_THREADS = 6


def load(*, dedicated: bool) -> tuple[dict[str, type], dict[str, str]]:
    """Start the agent on ComfyUI's server; return its node classes and their display names.

    Args:
        dedicated: Whether this ComfyUI is there to work for masters: the agent is installed alone.
    """
    server = PromptServer.instance
    if any(isinstance(route, web.RouteDef) and route.path == PREFIX for route in server.routes):
        log.warning(
            "ComfyUI Orchestrator's agent is installed twice, and the second one stands back: remove the folder "
            "comfyui-orchestrator-agent where the whole of ComfyUI Orchestrator is installed."
        )
        return {}, {}
    folder = Path(folder_paths.get_user_directory()) / FOLDER
    settings = Settings.read(folder)
    access = Access(_token(folder), trust_loopback=not settings.require_token, clock=time.monotonic)
    store = BlobStore(Path(folder_paths.get_temp_directory()), limit_bytes=settings.blob_limit_bytes)
    executor = ThreadPoolExecutor(_THREADS, "orchestrator-agent")
    stalls = Stalls(lambda: _has_worked(server), enabled=settings.freezes(dedicated=dedicated))
    parts = [
        BlobRoutes(store, Uploads(store, executor, clock=time.monotonic), executor).part(),
        _values_part(),
        stalls.part(),
    ]
    introduction = Introduction(parts, access, uuid.uuid4().hex)
    add_parts(server.routes, [introduction.part(), *parts, TokenRoutes(access).part()], access)
    stalls.start(server.loop)
    log.info("ComfyUI Orchestrator's agent %s is here", AGENT_VERSION)
    return build(Values(store)), dict(DISPLAY_NAMES)


def _token(folder: Path) -> Token:
    token = Token(folder)
    try:
        fresh = token.ensure()
    except SetupFailed as error:
        # Told in full by its message; a traceback would only hide it.
        log.error("%s", error)  # noqa: TRY400
    else:
        if fresh is not None:
            log.info("%s", announce(token, fresh))
    return token


def _values_part() -> Part:
    return Part(
        capabilities=("values",),
        facts={
            "values": {
                "format": VERSION,
                "media_type": MEDIA_TYPE,
                "in": VALUE_IN,
                "out": VALUE_OUT,
                "ui_key": UI_KEY,
                "types": list(KNOWN_TYPES),
            }
        },
    )


def _has_worked(server: PromptServer) -> bool:
    """Whether a prompt has run here, or models are loaded."""
    queue = server.prompt_queue
    with queue.mutex:
        ran = bool(queue.currently_running or queue.history)
    return ran or bool(model_management.current_loaded_models)
