"""Makes jobs of requests: by the asker's wishes, else the definition's, else the settings'."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from ..domain import Definition, Job, JobSpec, JobStatus, Value
from ..errors import NotFound
from ..workflow.bind import bind
from .inputs import InputFiles
from .preferences import Preferences
from .requests import Request

T = TypeVar("T")

PREFER = "prefer:"
"""What a selector begins with that says where a job is to run rather than where it must."""

Sure = Callable[[Mapping[str, Value]], Awaitable[Mapping[str, Value]]]
"""Makes sure that values are still there."""


class JobMaker:
    """Makes jobs of requests."""

    def __init__(
        self,
        definition: Callable[[str, int | None], Awaitable[Definition]],
        input_files: InputFiles,
        preferences: Callable[[], Preferences],
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._definition = definition
        self._input_files = input_files
        self._preferences = preferences
        self._clock = clock
        self._new_id = new_id

    async def job(self, request: Request, sure: Sure) -> Job:
        """Return a new job that does what is asked for, with values that ``sure`` let pass.

        Raises:
            NotFound: there is no such definition, version or output.
            BindingFailed: a value does not fit its parameter.
        """
        definition = await self._definition(request.definition_id, request.definition_version)
        spec = await self._spec(definition, request, sure)
        job_id = self._new_id()
        run = request.run
        return Job(
            id=job_id,
            run_id=run.id if run is not None else job_id,
            key=spec.key(),
            spec=spec,
            status=JobStatus.QUEUED,
            created_at=self._clock(),
            node_id=request.node_id,
            item_index=request.item_index,
            owner=request.owner or (run.owner if run is not None else None),
        )

    async def name(self, definition_id: str) -> str:
        """Return what a definition is called; of one that was deleted, its id."""
        try:
            return (await self._definition(definition_id, None)).name
        except NotFound:
            return definition_id

    async def outline(self, request: Request) -> JobSpec:
        """Return what decides where a request can run: its values do not matter, apart from stored ones' types.

        Raises:
            NotFound: there is no such definition, version or output.
        """
        definition = await self._definition(request.definition_id, request.definition_version)
        selector, _ = parsed_selector(request.selector)
        return JobSpec(
            definition.id,
            definition.version,
            definition.content_hash,
            {name: value for name, value in request.values.items() if isinstance(value, Value)},
            _outputs(definition, request),
            selector=selector,
            excluded_backends=request.excluded_backends,
            from_queue=request.from_queue,
            native=request.native,
        )

    async def _spec(self, definition: Definition, request: Request, sure: Sure) -> JobSpec:
        outputs = _outputs(definition, request)
        values = await sure(bind(definition, request.values))
        knobs, settings = definition.knobs, self._preferences()
        selector, preferred = parsed_selector(request.selector)
        return JobSpec(
            definition_id=definition.id,
            definition_version=definition.version,
            definition_hash=definition.content_hash,
            values=values,
            outputs=outputs,
            files=await self._input_files.collect(definition, outputs, values),
            fidelity=request.fidelity,
            selector=selector,
            prefer=_first(preferred, request.prefer, knobs.prefer, ()),
            excluded_backends=request.excluded_backends,
            from_queue=request.from_queue,
            max_attempts=_first(request.max_attempts, knobs.attempts, settings.attempts),
            on_failure=_first(request.on_failure, knobs.on_failure, settings.on_failure),
            priority=request.priority,
            use_cache=_first(request.use_cache, knobs.cache, True),
            time_limit_s=_first(request.time_limit_s, knobs.time_limit_s, settings.time_limit_s),
            native=request.native,
            may_stay=request.may_stay,
        )


def parsed_selector(selector: str) -> tuple[str, tuple[str, ...] | None]:
    """Return where a job must run, and where it is to run rather than elsewhere, if the selector says that."""
    if selector.startswith(PREFER):
        return "auto", (selector.removeprefix(PREFER),)
    return selector, None


def _first(*wishes: T | None) -> T:
    """Return the first wish that is one; the last always is, unless None is what it says."""
    return next((wish for wish in wishes if wish is not None), wishes[-1])  # type: ignore[return-value]


def _outputs(definition: Definition, request: Request) -> tuple[str, ...]:
    known = [output.name for output in definition.outputs]
    for name in request.outputs or ():
        if name not in known:
            raise NotFound(f"output of {definition.name!r}", name, near=sorted(known))
    return request.outputs if request.outputs is not None else tuple(known)
