"""A scriptable stand-in for a ComfyUI server, on a real socket, speaking its protocol.

For what a real server cannot be made to do on demand: to lose an answer, to vanish, to stop at a named point. What it
answers and in which order it speaks is held to the real thing by the contract suite. Tests drive it by events: it never
waits for time to pass.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

from aiohttp import web

from comfy_orchestrator_nodes.domain import Backend
from tests.fakes.execution import Behaviour, InterruptedByUser, Run, Vanish, run_nodes, signature
from tests.fakes.faults import Fault, Handler
from tests.fakes.node_classes import NODE_CLASSES, NodeClass, NodeRaised
from tests.fakes.routes import routes

Json = Any


@dataclass(order=True)
class Waiting:
    """A prompt in the queue; smaller numbers run first."""

    number: float
    prompt_id: str
    prompt: dict[str, Json] = field(compare=False)
    extra: dict[str, Json] = field(compare=False)
    outputs: list[str] = field(compare=False)

    def listed(self) -> list[Json]:
        """Return it as ``/queue`` does."""
        return [self.number, self.prompt_id, self.prompt, self.extra, self.outputs]


class FakeComfy:
    """One fake server; use it as ``async with FakeComfy() as fake``.

    Before it starts, ``version``, ``jobs_api``, ``max_upload_bytes``, ``classes`` and ``models`` may be set.
    """

    def __init__(
        self, *, version: str = "0.3.75", jobs_api: bool = False, max_upload_bytes: int = 100 << 20, prefix: str = ""
    ) -> None:
        self.version = version
        self.jobs_api = jobs_api
        self.max_upload_bytes = max_upload_bytes
        self.prefix = prefix
        self.classes: dict[str, NodeClass] = dict(NODE_CLASSES)
        self.models: dict[str, list[str]] = {"checkpoints": [], "loras": [], "custom_nodes": ["x/y.py"], "configs": []}
        self.vram_bytes = 8 << 30
        self.required_header: tuple[str, str] | None = None
        """A header without which every request is answered 401."""
        self.routes_beside: list[web.RouteDef] = []
        """What else it answers, such as an agent's routes; to be set before it starts."""

        self.files: dict[tuple[str, str, str], bytes] = {}
        """Stored files by place, subfolder and name."""
        self.submissions: list[dict[str, Json]] = []
        """The bodies of all POSTs to /prompt, also of those that were refused."""
        self.executions: Counter[str] = Counter()
        """How often each prompt_id began to run."""
        self.interrupts: list[Json] = []
        """The bodies of all POSTs to /interrupt."""
        self.freed: list[Json] = []
        """The bodies of all POSTs to /free."""
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request, the socket's included."""

        self.cache: dict[str, Any] = {}
        self.history: dict[str, Json] = {}
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.transports: dict[str, asyncio.Transport] = {}
        """The connections of the sockets."""
        self.features_of: dict[str, Json] = {}
        """The feature flags that each client sent."""
        self._behaviours: deque[Behaviour] = deque()
        self._behaviour_of: dict[str, Behaviour] = {}
        self._faults: dict[tuple[str, str], deque[Fault]] = defaultdict(deque)
        self._queue: list[Waiting] = []
        self._running: tuple[Waiting, Run] | None = None
        self._numbers = itertools.count()
        self._wake = asyncio.Event()
        self._outbox: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()
        self._broken: Exception | None = None
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._port = 0

    # --- what a test does ------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL, which stays the same over restarts."""
        return f"http://127.0.0.1:{self._port}{self.prefix}"

    def backend(self, id_: str = "fake", **changes: Any) -> Backend:
        """Return it as a registered backend."""
        return Backend(id=id_, name=id_, base_url=self.url, **changes)

    def behave(self, behaviour: Behaviour, prompt_id: str | None = None) -> None:
        """Let the prompt of that id, or the next one that has no behaviour of its own, run like this."""
        if prompt_id is None:
            self._behaviours.append(behaviour)
        else:
            self._behaviour_of[prompt_id] = behaviour

    def fail(self, method: str, path: str, *faults: Fault) -> None:
        """Let the next requests to this route meet these faults, one each. ``path`` is the route as registered."""
        self._faults[method, path].extend(faults)

    def clear_faults(self) -> None:
        """Forget the faults that no request has met yet."""
        self._faults.clear()

    def drop_sockets(self) -> None:
        """Cut every WebSocket without a good-bye."""
        for transport in list(self.transports.values()):
            transport.abort()

    async def start(self) -> None:
        """Begin to listen; the second time at the same port."""
        app = web.Application(middlewares=[self._middleware], client_max_size=self.max_upload_bytes)
        for path in dict.fromkeys((f"{self.prefix}/api", self.prefix)):
            app.add_routes(routes(self, path))
        app.add_routes(self.routes_beside)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        if not self._port:
            self._port = self._runner.addresses[0][1]
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._publish())]

    async def stop(self) -> None:
        """End as a killed process does: connections break, nothing answers any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self.drop_sockets()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._broken is not None:
            raise self._broken

    async def restart(self) -> None:
        """Start again at the same port with an empty queue, history, cache and temp folder."""
        await self.stop()
        self._forget()
        self.files = {key: content for key, content in self.files.items() if key[0] != "temp"}
        await self.start()

    async def __aenter__(self) -> FakeComfy:
        await self.start()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.stop()

    # --- what its routes use ---------------------------------------------------------------------------------------

    @property
    def running(self) -> list[Waiting]:
        """The prompt that runs, as a list."""
        return [] if self._running is None else [self._running[0]]

    @property
    def pending(self) -> list[Waiting]:
        """The prompts that wait, in the order of ComfyUI's heap."""
        return self._queue

    @property
    def remaining(self) -> int:
        """How many prompts run and wait."""
        return len(self._queue) + len(self.running)

    def put(self, waiting: Waiting) -> None:
        """Put a prompt into the queue."""
        heapq.heappush(self._queue, waiting)
        self.send_status()
        self._wake.set()

    def delete(self, prompt_id: str) -> bool:
        """Remove a waiting prompt; of several with the same id one, as ComfyUI does."""
        place = next((i for i, waiting in enumerate(self._queue) if waiting.prompt_id == prompt_id), None)
        if place is None:
            return False
        del self._queue[place]
        heapq.heapify(self._queue)
        self.send_status()
        return True

    def interrupt(self, prompt_id: str | None) -> bool:
        """Interrupt what runs: the prompt of that id, or any."""
        if self._running is None or (prompt_id is not None and self._running[0].prompt_id != prompt_id):
            return False
        self._running[1].interrupted.set()
        return True

    def next_number(self) -> int:
        """Count submitted prompts."""
        return next(self._numbers)

    def send(self, kind: str, data: Mapping[str, Json], client_id: str | None) -> None:
        """Queue a message to one client, or to all."""
        self._outbox.put_nowait((json.dumps({"type": kind, "data": data}), client_id))

    def send_bytes(self, frame: bytes, client_id: str | None) -> None:
        """Queue a binary message to one client, or to all."""
        self._outbox.put_nowait((frame, client_id))

    def send_status(self) -> None:
        """Tell every client how long the queue is."""
        self.send("status", {"status": {"exec_info": {"queue_remaining": self.remaining}}}, None)

    def store_result(self, prefix: str, place: str, content: bytes) -> dict[str, str]:
        """Store a result under the next free name and return it as outputs name it."""
        path = PurePosixPath(prefix)
        subfolder = "" if str(path.parent) == "." else str(path.parent)
        taken = (
            int(match.group(1))
            for (p, s, name) in self.files
            if (p, s) == (place, subfolder) and (match := re.fullmatch(rf"{re.escape(path.name)}_(\d+)_\.png", name))
        )
        name = f"{path.name}_{max(taken, default=0) + 1:05}_.png"
        self.files[place, subfolder, name] = content
        return {"filename": name, "subfolder": subfolder, "type": place}

    def annotated_files(self) -> dict[str, bytes]:
        """Return the stored files by the names that loader nodes take."""
        return {
            f"{subfolder}/{name} [{place}]" if subfolder else f"{name} [{place}]": content
            for (place, subfolder, name), content in self.files.items()
        }

    # --- its inner life --------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._queue, self._running, self._numbers = [], None, itertools.count()
        self._outbox = asyncio.Queue()
        self.history, self.cache, self.sockets, self.transports = {}, {}, {}, {}

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = (resource.canonical if resource is not None else request.path).removeprefix(self.prefix)
        path = path.removeprefix("/api") if not path.startswith("/api/jobs") else path
        self.requests.append((request.method, path))
        if self.required_header is not None and request.headers.get(self.required_header[0]) != self.required_header[1]:
            return web.Response(status=401)
        faults = self._faults[request.method, path]
        if faults:
            return await faults.popleft()(request, handler)
        return await handler(request)

    async def _publish(self) -> None:
        """Send messages one after another, as ComfyUI's publish loop does."""
        while True:
            frame, client_id = await self._outbox.get()
            targets = self.sockets.values() if client_id is None else (self.sockets.get(client_id),)
            for socket in list(targets):
                if socket is None or socket.closed:
                    continue
                try:
                    await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
                except ConnectionError:
                    continue

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            waiting = heapq.heappop(self._queue)
            try:
                await self._execute(waiting)
            except Exception as error:
                # A mistake of the test's behaviour or of the fake; the test ends with it when the fake is stopped.
                self._broken = error
                raise

    async def _execute(self, waiting: Waiting) -> None:
        run = Run(self, waiting.prompt_id, waiting.prompt, waiting.extra, waiting.outputs)
        self._running = (waiting, run)
        self.executions[waiting.prompt_id] += 1
        self.send_status()
        run.note("execution_start", {})
        cached = [node for node in waiting.prompt if signature(waiting.prompt, node) in self.cache]
        run.note("execution_cached", {"nodes": cached})
        vanished = False
        completed = False
        try:
            await self._behaviour(waiting.prompt_id)(run)
            run.note("execution_success", {})
            completed = True
        except Vanish:
            vanished = True
        except InterruptedByUser:
            run.note("execution_interrupted", self._where(run))
        except NodeRaised as raised:
            details = {
                "exception_message": f"{raised.message}\n",
                "exception_type": raised.exception_type,
                "traceback": ['  File "/fake/execution.py", line 1, in execute\n'],
                "current_inputs": {},
                "current_outputs": [],
            }
            run.note("execution_error", {**self._where(run), **details})
        self._running = None
        if not vanished:
            self.history[waiting.prompt_id] = {
                "prompt": waiting.listed(),
                "outputs": run.outputs,
                "meta": {},
                "status": {
                    "status_str": "success" if completed else "error",
                    "completed": completed,
                    "messages": run.messages,
                },
            }
        self.send_status()
        if not vanished and run.client_id is not None:
            run.tell("executing", {"node": None})

    def _behaviour(self, prompt_id: str) -> Behaviour:
        if prompt_id in self._behaviour_of:
            return self._behaviour_of.pop(prompt_id)
        return self._behaviours.popleft() if self._behaviours else run_nodes

    def _where(self, run: Run) -> dict[str, Json]:
        node = run.node or next(iter(run.prompt))
        return {"node_id": node, "node_type": run.prompt[node]["class_type"], "executed": run.executed}
