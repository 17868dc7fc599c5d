"""What ComfyUI loads: the agent on ComfyUI's server. With ``nodes`` the only module that needs ComfyUI."""

from __future__ import annotations

import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import folder_paths
import torch
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
from .packing import find_zstd
from .queued import values_of
from .routing import PREFIX, Part, add_parts
from .settings import Settings
from .stalls import Stalls
from .telemetry.machine import Machine, Surroundings
from .telemetry.sampler import Sampler
from .telemetry.torch_devices import TorchDevice
from .telemetry_routes import telemetry_part
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
    store = BlobStore(
        Path(folder_paths.get_temp_directory()),
        limit_bytes=settings.blob_limit_bytes,
        wanted=lambda: _queued_values(server),
    )
    executor = ThreadPoolExecutor(_THREADS, "orchestrator-agent")
    stalls = Stalls(lambda: _has_worked(server), enabled=settings.freezes(dedicated=dedicated))
    parts = [
        BlobRoutes(store, Uploads(store, executor, clock=time.monotonic), executor, find_zstd()).part(),
        _values_part(),
        stalls.part(),
        telemetry_part(_sampler(server)),
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
        capabilities=("values", "values.objects"),
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


def _sampler(server: PromptServer) -> Sampler:
    """Return what samples this machine once somebody asks."""
    machine = Machine(
        Surroundings(
            folder_paths.base_path,
            torch=torch,
            other_device=_other_device,
            loaded=lambda: model_management.current_loaded_models,
        )
    )
    # Without the queue's lock: whether it is empty can be read at any time.
    return Sampler(machine.read, busy=lambda: bool(server.prompt_queue.currently_running))


def _queued_values(server: PromptServer) -> frozenset[str]:
    queue = server.prompt_queue
    with queue.mutex:
        entries = [*queue.currently_running.values(), *queue.queue]
    return values_of(entries, VALUE_IN)


def _other_device() -> TorchDevice | None:
    """Return the device that ComfyUI works on where torch has no module of its own for it, as with DirectML."""
    device = model_management.get_torch_device()
    if device.type in ("cpu", "cuda", "xpu", "mps"):
        return None
    total, free = model_management.get_total_memory(device), model_management.get_free_memory(device)
    name = model_management.get_torch_device_name(device)
    return TorchDevice(str(device), device.type, name, used=int(total - free), total=int(total))


def _has_worked(server: PromptServer) -> bool:
    """Whether a prompt has run here, or models are loaded."""
    queue = server.prompt_queue
    with queue.mutex:
        ran = bool(queue.currently_running or queue.history)
    return ran or bool(model_management.current_loaded_models)
