"""Remote Workflow: a whole workflow as one node, run on the best of the backends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..domain import (
    BLOB_MEDIA_TYPE,
    LOCAL_BACKEND_ID,
    SCALAR_TYPES,
    Backend,
    Cause,
    Definition,
    FileRef,
    Job,
    Json,
    Parameter,
    Run,
    RunStatus,
    Value,
)
from ..errors import OrchestratorError
from ..flow.guards import report
from ..orchestrator.jobs import Request, raise_failure
from ..orchestrator.making import PREFER
from ..workflow.bind import bind
from ..workflow.graph import class_type
from .any_type import ANY
from .batch import Outcome, Updates, fails_node, run_batch
from .crossing import Interrupted
from .expansion import LinkedList, Nodes, expand
from .handles import NATIVE, Handle, stays
from .host import Execution, Host
from .io import CATEGORY
from .items import item, item_count
from .progress import ProgressView
from .slots import SLOTS, Slots, input_name, output_name, parse, resolve
from .titles import run_title
from .validation import AUTO, definition_of, tags, validate, without
from .values import decode, encode

INFO_TYPE = "JOB_INFO"
"""The type of ``info``: per item a dict of ``backend``, ``elapsed_s``, ``attempts``, ``cached``, ``cause``."""
DEFAULT = "default"
"""The ``on_failure`` that leaves it to the workflow, and where that says nothing to the settings."""
REPORT_TYPE = "JOB_REPORT"
"""The type of ``report``, which is never blocked: how many items came, and which of them failed."""


def build(host: Host) -> type:
    """Return the node class for one master."""

    class RemoteWorkflow:
        """Runs a workflow of the library on another ComfyUI, once per item of its input lists."""

        CATEGORY = CATEGORY
        DESCRIPTION = "Runs a whole workflow from the library on the best of your ComfyUI servers."
        FUNCTION = "run"
        INPUT_IS_LIST = True
        RETURN_TYPES = ("INT", INFO_TYPE, *([ANY] * SLOTS), REPORT_TYPE)
        RETURN_NAMES = ("index", "info", *(output_name(i) for i in range(SLOTS)), "report")
        OUTPUT_IS_LIST = (True,) * (SLOTS + 3)
        OUTPUT_TOOLTIPS = (
            "The numbers of the items that are left, from 0: all, unless some were dropped.",
            "For each item that is left: backend, elapsed_s, attempts, cached.",
            *("A result of the chosen workflow, which says what it is." for _ in range(SLOTS)),
            "How many items came, and which of them failed: for Merge, which finds it by itself.",
        )

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs, with the library and the backends as they are now."""
            snapshot = host.snapshot()
            workflows = list(snapshot.definitions)
            backends = [AUTO, *(b.name for b in snapshot.backends), *tags(snapshot.backends)]
            backends += [PREFER + backend for backend in backends[1:]]
            slots = {
                input_name(i): (ANY, {"tooltip": "What it means is told by the chosen workflow."}) for i in range(SLOTS)
            }
            return {
                "required": {
                    "workflow": (workflows, {"tooltip": "The workflow of the library to run."}),
                    "backend": (backends, {"default": AUTO, "tooltip": "Where it may run, or is to (prefer:)."}),
                    "parameters": (
                        "STRING",
                        {"default": "{}", "multiline": True, "tooltip": "Values by name, as JSON."},
                    ),
                },
                "optional": {
                    **slots,
                    "on_failure": (
                        [DEFAULT, "fail", "drop", "ask"],
                        {"tooltip": "When every attempt failed: what the workflow says, fail, drop the item, or ask."},
                    ),
                    "attempts": (
                        "INT",
                        {"default": 0, "min": 0, "max": 100, "tooltip": "How often an item is tried; 0: as it says."},
                    ),
                    "cache": ("BOOLEAN", {"default": True, "tooltip": "Reuse the result of the same work."}),
                },
                "hidden": {"prompt": "PROMPT", "dynprompt": "DYNPROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
            }

        @classmethod
        def VALIDATE_INPUTS(  # noqa: N802 - ComfyUI's name
            cls, workflow: Any, backend: Any, parameters: Any, input_types: Any
        ) -> bool | str:
            """Refuse what cannot work before anything runs. Arguments come as lists of one."""
            try:
                validate(host.snapshot(), _one(workflow), _one(backend), _one(parameters), _one(input_types))
            except OrchestratorError as error:
                return str(error)
            return True

        @classmethod
        def IS_CHANGED(cls, workflow: Any, **_: Any) -> str:  # noqa: N802 - ComfyUI's name
            """Return the definition's content hash: an edited definition is run again, never served stale."""
            definition = host.snapshot().definitions.get(_one(workflow))
            return definition.content_hash if definition is not None else "unknown"

        async def run(
            self,
            workflow: list[str],
            backend: list[str],
            parameters: list[str],
            prompt: Any = None,
            dynprompt: Any = None,
            extra_pnginfo: Any = None,
            on_failure: Sequence[str] = (DEFAULT,),
            attempts: Sequence[int] = (0,),
            cache: Sequence[bool] = (True,),
            **inputs: list[Any],
        ) -> dict[str, Any]:
            """Run the workflow once per item."""
            execution = host.execution()
            definition = definition_of(host.snapshot(), workflow[0])
            slots = resolve(definition, parse(parameters[0]))
            task = _Task(
                host,
                execution,
                definition,
                slots,
                selector=backend[0],
                constants=parse(parameters[0]).values,
                lists={k: v for k, v in inputs.items() if k.startswith("in_")},
                on_failure=on_failure[0],
                attempts=attempts[0],
                use_cache=cache[0],
                title=run_title(_one(prompt), _one(extra_pnginfo), host.snapshot().name),
            )
            try:
                return await task.run(_links(_one(dynprompt), execution.node_id))
            except Interrupted:
                raise host.interrupt() from None

    return RemoteWorkflow


class _Task:
    """One execution of the node."""

    def __init__(
        self,
        host: Host,
        execution: Execution,
        definition: Definition,
        slots: Slots,
        *,
        selector: str,
        constants: Mapping[str, Json],
        lists: Mapping[str, list[Any]],
        on_failure: str,
        attempts: int,
        use_cache: bool,
        title: str,
    ) -> None:
        self._host = host
        self._execution = execution
        self._definition = definition
        self._slots = slots
        self._selector = selector
        self._constants = constants
        self._lists = lists
        self._on_failure = on_failure
        self._attempts = attempts
        self._use_cache = use_cache
        self._title = title
        self._parameters = _linked_parameters(slots, lists)

    async def run(self, links: Mapping[str, LinkedList]) -> dict[str, Any]:
        count = item_count(self._lists)
        if count == 0:
            return {"result": self._blocked(report(0, ()))}
        if await self._runs_here():
            return self._expanded(count, links)
        outcomes = await self._outcomes(count)
        if any(_found_no_backend(outcome.job) for outcome in outcomes) and self._may_run_here():
            # Nobody can take it any more; above all not those whose meta-graphs may wait for this server's queue.
            return self._expanded(count, links)
        return self._finished(outcomes)

    async def _outcomes(self, count: int) -> list[Outcome]:
        service, updates = self._host.service(), Updates()
        view = ProgressView(self._host, self._execution, count)
        owner = f"inputs of {self._execution.prompt_id}/{self._execution.node_id}"
        release = partial(service.artifacts.release, owner)
        try:
            requests = await self._requests(count, owner)
            return await self._host.crossing.run(
                run_batch(service, requests, updates, self._decoded, release),
                meanwhile=lambda: view.show(updates.take()),
            )
        finally:
            release()

    # --- where

    async def _runs_here(self) -> bool:
        """Whether the sub-workflow becomes part of this very prompt: asked for, or because nobody else can run it."""
        if self._selector in (self._local_name(), LOCAL_BACKEND_ID):
            return True
        if not self._may_run_here():
            return False
        values = {p.name: _some_file(p.type) for p in self._parameters.values() if p.type not in SCALAR_TYPES}
        orchestrator = self._host.service().orchestrator
        return not await self._host.crossing.run(orchestrator.could_run(self._request(values, 0)))

    def _may_run_here(self) -> bool:
        """Whether this server is allowed and able to run it where nobody else does."""
        local = self._local()
        bound = self._selector != AUTO and not self._selector.startswith(PREFER)
        if bound or local is None or not local.enabled:
            return False
        known = self._host.node_classes()
        return all(class_type(node) in known for node in self._definition.prompt.values())

    def _local(self) -> Backend | None:
        return next((b for b in self._host.snapshot().backends if b.id == LOCAL_BACKEND_ID), None)

    def _local_name(self) -> str:
        local = self._local()
        return local.name if local is not None else LOCAL_BACKEND_ID

    def _expanded(self, count: int, links: Mapping[str, LinkedList]) -> dict[str, Any]:
        scalars = [self._bound_scalars(index) for index in range(count)]
        linked = {
            parameter.name: links[slot]
            for slot, parameter in self._parameters.items()
            if parameter.type not in SCALAR_TYPES
        }
        nodes, linked = self._as_natives(linked)
        expansion = expand(
            self._definition,
            self._slots.wanted,
            scalars,
            linked,
            prefix=f"{self._execution.node_id}.local",
            known_classes=self._host.node_classes(),
        )
        info = {"backend": self._local_name(), "elapsed_s": 0.0, "attempts": 1, "cached": False, "failed": False}
        outputs = [expansion.outputs.get(output.name, self._host.blocker(None)) for output in self._slots.outputs]
        result = (tuple(range(count)), (info,) * count, *outputs, *self._unused(), (report(count, ()),))
        return {"result": result, "expand": {**nodes, **expansion.nodes}}

    def _as_natives(self, linked: Mapping[str, LinkedList]) -> tuple[Nodes, dict[str, LinkedList]]:
        """Return nodes that turn handles on links into native values, and the links that lead over them."""
        nodes: Nodes = {}
        found = dict(linked)
        for slot, parameter in self._parameters.items():
            if parameter.name in linked and any(isinstance(one, Handle) for one in self._lists[slot]):
                node_id = f"{self._execution.node_id}.native.{slot}"
                nodes[node_id] = {"class_type": NATIVE, "inputs": {"items": list(linked[parameter.name].link)}}
                found[parameter.name] = LinkedList((node_id, 0))
        return nodes, found

    def _bound_scalars(self, index: int) -> dict[str, Value]:
        values = self._item_values(index)
        files = {p.name for p in self._parameters.values() if p.type not in SCALAR_TYPES}
        return bind(without(self._definition, files), {n: value for n, value in values.items() if n not in files})

    # --- what

    async def _requests(self, count: int, owner: str) -> list[Request]:
        artifacts = self._host.service().artifacts
        encoded: dict[int, Any] = {}
        for slot, parameter in self._parameters.items():
            for given in self._lists[slot]:
                if isinstance(given, Handle):
                    encoded[id(given)] = given.value
                elif id(given) not in encoded:
                    encoded[id(given)] = await asyncio.to_thread(encode, given, parameter, artifacts, owner)
        stored = {slot: [encoded[id(given)] for given in self._lists[slot]] for slot in self._parameters}
        run = Run(
            self._execution.prompt_id,
            RunStatus.RUNNING,
            time.time(),
            title=self._title,
            client_id=self._host.client_id(),
            owner=self._host.owner(self._execution),
        )
        return [self._request(self._item_values(index, stored), index, run) for index in range(count)]

    def _item_values(self, index: int, lists: Mapping[str, Sequence[Any]] | None = None) -> dict[str, Any]:
        by_slot = item(lists if lists is not None else self._lists, index)
        linked = {parameter.name: by_slot[slot] for slot, parameter in self._parameters.items()}
        return {**self._constants, **linked}

    def _request(self, values: Mapping[str, Any], index: int, run: Run | None = None) -> Request:
        return Request(
            self._definition.id,
            values,
            definition_version=self._definition.version,
            outputs=self._slots.wanted,
            run=run,
            node_id=self._execution.node_id,
            item_index=index,
            selector=self._selector,
            from_queue=True,
            max_attempts=self._attempts or None,
            on_failure=None if self._on_failure == DEFAULT else self._on_failure,
            # The workflow may forbid what the node allows.
            use_cache=None if self._use_cache else False,
            native=True,
            may_stay=tuple(name for name in self._slots.wanted if name not in self._slots.native),
        )

    # --- results

    def _decoded(self, job: Job) -> dict[str, Any]:
        """Return what goes onto the links: native values, which are at hand by now, and handles of what may stay."""
        artifacts = self._host.service().artifacts
        return {
            name: decode(value, artifacts) if name in self._slots.native or not stays(value) else Handle(value)
            for name in self._slots.wanted
            if (value := job.outputs[name])
        }

    def _finished(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        for outcome in outcomes:
            if fails_node(outcome.job):
                raise_failure(outcome.job)
        kept = [(index, o) for index, o in enumerate(outcomes) if not o.failed]
        outputs: list[Any] = []
        for output in self._slots.outputs:
            if output.name not in self._slots.wanted:
                outputs.append([self._host.blocker(None)])
                continue
            outputs.append([o.natives[output.name] for _, o in kept] or [self._host.blocker(None)])
        index = [index for index, _ in kept]
        info = [o.info() for _, o in kept]
        ui = {"orchestrator": [{"job_id": o.job.id, **o.info()} for o in outcomes]}
        failures = [{"index": i, "backend": o.backend, "cause": o.cause} for i, o in enumerate(outcomes) if o.failed]
        told = report(len(outcomes), failures)
        if not kept:
            return {"ui": ui, "result": self._blocked(told)}
        return {"ui": ui, "result": (index, info, *outputs, *self._unused(), [told])}

    def _blocked(self, told: Json) -> tuple[Any, ...]:
        """Return the outputs when no item is left: only the report can still be read."""
        return (*([self._host.blocker(None)] for _ in range(SLOTS + 2)), [told])

    def _unused(self) -> list[Any]:
        first = len(self._slots.outputs)
        text = f"The workflow {self._definition.name!r} has only {first} outputs."
        return [[self._host.blocker(text)] for _ in range(first, SLOTS)]


def _linked_parameters(slots: Slots, lists: Mapping[str, Any]) -> dict[str, Parameter]:
    return {input_name(index): parameter for index, parameter in enumerate(slots.inputs) if input_name(index) in lists}


def _links(dynprompt: Any, node_id: str) -> dict[str, LinkedList]:
    """Return the links into the node's input slots."""
    if dynprompt is None:
        return {}
    inputs = dynprompt.get_node(node_id)["inputs"]
    return {
        name: LinkedList((str(value[0]), int(value[1])))
        for name, value in inputs.items()
        if name.startswith("in_") and isinstance(value, list) and len(value) == 2
    }


def _some_file(type_: str) -> Value:
    """Return a value that stands for any of its type: whether a backend can take it does not depend on its content."""
    return Value(type_, files=(FileRef("0" * 64, 0, BLOB_MEDIA_TYPE),))


def _found_no_backend(job: Job) -> bool:
    return job.failure is not None and job.failure.cause in (Cause.NO_BACKEND, Cause.BUSY)


def _one(value: Any) -> Any:
    """With INPUT_IS_LIST everything comes as a list of one; outside of it, as it is."""
    return value[0] if isinstance(value, list) and value else value
