"""``dev.py demo``: on an image, two peers of a master run a workflow each, one after the other.

It drives the master as a browser would: over its HTTP routes, and with an ordinary prompt that holds Remote Workflow
nodes.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from tools.devtools.console import table
from tools.devtools.failure import DevError
from tools.devtools.instances import Instance
from tools.devtools.paths import DEV

RUN_TIMEOUT_S = 120.0
POLL_S = 0.1
HTTP_TIMEOUT_S = 30.0
REMOTE_WORKFLOW = "OrchestratorRemoteWorkflow"
FIRST_OUTPUT = 2
"""Where ``out_1`` stands among the outputs of a Remote Workflow node, behind ``index`` and ``info``."""

T = TypeVar("T")

Row: TypeAlias = "tuple[str, str, int, float, int]"
"""Of one attempt: definition, backend, number, seconds, bytes moved."""

DEFINITIONS: tuple[Mapping[str, Any], ...] = (
    {
        "id": "enlarge-and-sharpen",
        "name": "Enlarge and sharpen",
        "prompt": {
            "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
            "2": {
                "class_type": "ImageScaleBy",
                "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "scale_by": 2.0},
            },
            "3": {
                "class_type": "ImageSharpen",
                "inputs": {"image": ["2", 0], "sharpen_radius": 1, "sigma": 1.0, "alpha": 1.0},
            },
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "ComfyUI"}},
        },
        "parameters": [
            {"name": "image", "type": "IMAGE", "node_id": "1", "input_name": "image", "required": True},
            {"name": "scale", "type": "FLOAT", "node_id": "2", "input_name": "scale_by", "default": 2.0},
        ],
        "outputs": [{"name": "image", "type": "IMAGE", "node_id": "3", "index": 0}],
    },
    {
        "id": "invert",
        "name": "Invert",
        "prompt": {
            "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "ComfyUI"}},
        },
        "parameters": [{"name": "image", "type": "IMAGE", "node_id": "1", "input_name": "image", "required": True}],
        "outputs": [{"name": "image", "type": "IMAGE", "node_id": "2", "index": 0}],
    },
)


def run_demo(master: Instance, peers: Sequence[Instance]) -> Path:
    """Run the meta-graph on a fresh master and two fresh peers; print what was done and where the result is.

    Raises:
        DevError: the master refused something, the run failed, or it took too long.
    """
    started = time.monotonic()
    print("Running two workflows on example.png …", flush=True)
    rows, filename = run(master.url, {peer.name: peer.url for peer in peers})
    folder = DEV / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    result = Path(shutil.copy(master.directory / "output" / filename, folder / "result.png"))
    print(f"\n{table(['job', 'backend', 'attempt', 'seconds', 'bytes moved'], rows)}\n")
    print(f"{result}   ({time.monotonic() - started:.1f} s)", flush=True)
    return result


def run(master_url: str, peers: Mapping[str, str]) -> tuple[list[Row], str]:
    """Register peers with a master, put the definitions into its library, and run them one after the other.

    Args:
        master_url: a ComfyUI with this pack.
        peers: name to base URL of two peers; each gets one of the workflows.

    Returns:
        What each attempt was, and the name of the resulting image in the master's output folder.

    Raises:
        DevError: the master refused something, the run failed, or it took too long.
    """
    api = Api(master_url)
    api.wait("the orchestrator", api.is_ready)
    for name, url in peers.items():
        backend = api.send("POST", "/orchestrator/backends", {"name": name, "base_url": url})
        api.wait(f"{name} to be online", partial(api.is_online, backend["id"]))
    for definition in DEFINITIONS:
        api.send("POST", "/orchestrator/definitions", definition)
    run_id = str(uuid.uuid4())
    prompt = meta_graph(*peers)
    api.send("POST", "/prompt", {"prompt": prompt, "prompt_id": run_id, "client_id": uuid.uuid4().hex})
    history = api.wait("the run to end", lambda: api.get(f"/history/{run_id}").get(run_id))
    _refuse_failure(history)
    jobs = [api.get(f"/orchestrator/jobs/{j['id']}") for j in api.get(f"/orchestrator/jobs?run={run_id}")["jobs"]]
    rows = [_row(job, attempt) for job in reversed(jobs) for attempt in job["attempts"]]
    return rows, history["outputs"]["save"]["images"][0]["filename"]


def meta_graph(first_backend: str, second_backend: str) -> dict[str, Any]:
    """Return a prompt that sends an image through both definitions, each on its backend."""

    def remote(definition: Mapping[str, Any], backend: str, image: list[str | int]) -> dict[str, Any]:
        inputs = {"workflow": definition["id"], "backend": backend, "parameters": "{}", "in_1": image}
        return {"class_type": REMOTE_WORKFLOW, "inputs": inputs}

    save = {"images": ["second", FIRST_OUTPUT], "filename_prefix": "orchestrator-demo"}
    return {
        "load": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "first": remote(DEFINITIONS[0], first_backend, ["load", 0]),
        "second": remote(DEFINITIONS[1], second_backend, ["first", FIRST_OUTPUT]),
        "save": {"class_type": "SaveImage", "inputs": save},
    }


class Api:
    """The HTTP interface of one master."""

    def __init__(self, url: str) -> None:
        self._url = url
        # Straight to the loopback interface, whatever proxy the environment names.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return self._exchange(urllib.request.Request(self._url + path))

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON and return the JSON answer."""
        headers = {"Content-Type": "application/json", "X-Orchestrator": "1"}
        return self._exchange(
            urllib.request.Request(self._url + path, json.dumps(body).encode(), headers, method=method)
        )

    def is_ready(self) -> bool:
        """Whether the pack has started; its routes answer 503 until then."""
        try:
            self.get("/orchestrator/backends")
        except Refused as refused:
            if refused.status != 503:
                raise
            return False
        return True

    def is_online(self, backend_id: str) -> bool:
        """Whether a probe of the backend has succeeded."""
        return bool(self.get(f"/orchestrator/backends/{backend_id}")["status"] == "online")

    def wait(self, what: str, condition: Callable[[], T]) -> T:
        """Return what ``condition`` gives as soon as it is true.

        Raises:
            DevError: that took too long.
        """
        deadline = time.monotonic() + RUN_TIMEOUT_S
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise DevError(f"Waited {RUN_TIMEOUT_S:.0f} s for {what} in vain.")
            time.sleep(POLL_S)
        return found

    def _exchange(self, request: urllib.request.Request) -> Any:
        try:
            with self._opener.open(request, timeout=HTTP_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(request, error.code, error.read().decode(errors="replace")) from None
        except OSError as error:
            raise DevError(f"{request.full_url} does not answer: {error}") from error


class Refused(DevError):
    """The master answered with an error status."""

    def __init__(self, request: urllib.request.Request, status: int, text: str) -> None:
        super().__init__(f"{request.get_method()} {request.full_url} was answered with {status}: {text[:2000]}")
        self.status = status


def _refuse_failure(history: Mapping[str, Any]) -> None:
    status = history.get("status") or {}
    if status.get("status_str") == "success":
        return
    troubles = ("execution_error", "execution_interrupted")
    told = [details for kind, details in status.get("messages", []) if kind in troubles]
    raise DevError(f"The run failed: {json.dumps(told or status, indent=2)[:4000]}")


def _row(job: Mapping[str, Any], attempt: Mapping[str, Any]) -> Row:
    seconds = (attempt["ended_at"] or attempt["created_at"]) - attempt["created_at"]
    moved = attempt["uploaded_bytes"] + attempt["downloaded_bytes"]
    return job["definition"], attempt["backend"], attempt["number"], seconds, moved
