from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import (
    Attempt,
    Backend,
    Credentials,
    Definition,
    Failure,
    FileRef,
    Job,
    JobSpec,
    Knobs,
    Output,
    Parameter,
    Run,
    TlsOptions,
    Value,
)
from comfy_orchestrator_nodes.errors import InvalidRequest, StoreDamaged
from comfy_orchestrator_nodes.store import codec
from comfy_orchestrator_nodes.store.attempts import AttemptRepository
from comfy_orchestrator_nodes.store.backends import BackendRepository
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.definitions import DefinitionRepository
from comfy_orchestrator_nodes.store.jobs import JobRepository
from comfy_orchestrator_nodes.store.runs import RunRepository
from tests.unit.store.samples import dispatched

any_text = st.text(st.characters(), max_size=20)
"""Lone surrogates included: JSON files may hold them."""
column_text = st.text(max_size=20)
times = st.floats(min_value=0, max_value=1e11, allow_nan=False)
whole = st.integers(min_value=-(2**63), max_value=2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
names = any_text


def tuples_of(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


def build(model: type[Any], **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Build a model with a strategy for each of its fields; a field that was forgotten here fails the test."""
    fields = {field.name for field in dataclasses.fields(model)}
    assert fields == set(columns), f"the strategy of {model.__name__} and its fields differ: {fields ^ set(columns)}"
    return st.builds(model, **columns)


files = build(FileRef, sha256=names, size_bytes=st.integers(0), media_type=names)
values = build(Value, type=names, data=json_values, files=tuples_of(files), loss=any_text)
named_values = st.dictionaries(names, values, max_size=3)
failures = build(
    Failure,
    cause=st.sampled_from(list(get_type_hints(Failure)["cause"])),
    message=any_text,
    node_id=st.none() | any_text,
    class_type=st.none() | any_text,
    traceback=tuples_of(any_text),
    dropped=st.booleans(),
)
specs = build(
    JobSpec,
    definition_id=column_text,
    definition_version=whole,
    definition_hash=names,
    values=named_values,
    outputs=tuples_of(names),
    files=st.dictionaries(names, files, max_size=2),
    fidelity=names,
    selector=names,
    prefer=tuples_of(names),
    excluded_backends=tuples_of(names),
    from_queue=st.booleans(),
    on_failure=names,
    max_attempts=whole,
    priority=whole,
    use_cache=st.booleans(),
    time_limit_s=st.none() | numbers,
    native=st.booleans(),
    may_stay=tuples_of(names),
)
parameters = build(
    Parameter,
    name=names,
    type=names,
    node_id=names,
    input_name=names,
    default=json_values,
    required=st.booleans(),
    minimum=st.none() | numbers,
    maximum=st.none() | numbers,
    step=st.none() | numbers,
    choices=st.none() | tuples_of(json_values),
    multiline=st.booleans(),
    tooltip=any_text,
    role=any_text,
)
outputs = build(Output, name=names, type=names, node_id=names, index=whole)
tls = build(TlsOptions, verify=st.booleans(), ca_file=st.none() | any_text)
credentials = build(
    Credentials,
    bearer_token=st.none() | any_text,
    username=st.none() | any_text,
    password=st.none() | any_text,
    headers=st.dictionaries(any_text, any_text, max_size=2),
    agent_token=st.none() | any_text,
)


def through_sqlite(text: str) -> object:
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute("SELECT ?", (text,)).fetchone()[0]
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("model", "strategy"),
    [
        (Value, values),
        (JobSpec, specs),
        (Failure, failures),
        (Parameter, parameters),
        (Output, outputs),
        (TlsOptions, tls),
        (Credentials, credentials),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else "",
)
def test_every_model_comes_back_exactly(model: type[Any], strategy: st.SearchStrategy[Any]) -> None:
    @settings(deadline=None, max_examples=60)
    @given(strategy)
    def check(original: Any) -> None:
        restored = codec.load(model, through_sqlite(codec.dump(original)))
        assert restored == original
        assert repr(restored) == repr(original), "1 and 1.0 are equal, but not the same"

    check()


@settings(deadline=None, max_examples=60)
@given(named_values)
def test_named_values_come_back_exactly(original: dict[str, Value]) -> None:
    assert codec.load(dict[str, Value], through_sqlite(codec.dump(original))) == original


@settings(deadline=None, max_examples=60)
@given(json_values)
def test_json_comes_back_exactly(original: Any) -> None:
    assert repr(codec.load_json(through_sqlite(codec.dump(original)))) == repr(original)


jobs = build(
    Job,
    id=column_text,
    run_id=st.just("run"),
    key=column_text,
    spec=specs,
    status=st.sampled_from(list(get_type_hints(Job)["status"])),
    created_at=times,
    node_id=st.none() | column_text,
    item_index=whole,
    owner=st.none() | column_text,
    queued_at=st.none() | times,
    outputs=named_values,
    failure=st.none() | failures,
    ended_at=st.none() | times,
)
attempts = build(
    Attempt,
    id=column_text,
    job_id=column_text,
    number=whole,
    backend_id=column_text,
    prompt_id=column_text,
    status=st.sampled_from(list(get_type_hints(Attempt)["status"])),
    charged=st.booleans(),
    failure=st.none() | failures,
    created_at=times,
    started_at=st.none() | times,
    ended_at=st.none() | times,
    uploaded_bytes=whole,
    downloaded_bytes=whole,
    # Written by note_usage alone.
    peak_vram_bytes=st.none(),
    energy_j=st.none(),
)
runs = build(
    Run,
    id=st.just("run"),
    status=st.sampled_from(list(get_type_hints(Run)["status"])),
    created_at=times,
    title=column_text,
    client_id=st.none() | column_text,
    owner=st.none() | column_text,
    ended_at=st.none() | times,
)
backends = build(
    Backend,
    id=column_text,
    name=column_text,
    base_url=column_text,
    enabled=st.booleans(),
    tags=tuples_of(any_text),
    notes=column_text,
    tls=tls,
    credentials=credentials,
    created_at=times,
    draining=st.booleans(),
)
knobs = build(
    Knobs,
    on_failure=st.none() | any_text,
    attempts=st.none() | whole,
    time_limit_s=st.none() | numbers,
    cache=st.none() | st.booleans(),
    prefer=st.none() | tuples_of(any_text),
)
definitions = build(
    Definition,
    knobs=knobs,
    id=column_text,
    version=st.just(1),
    name=column_text,
    prompt=st.dictionaries(any_text, st.dictionaries(any_text, json_values, max_size=2), max_size=2),
    parameters=tuples_of(parameters),
    outputs=tuples_of(outputs),
    description=column_text,
    tags=tuples_of(any_text),
    workflow=st.none() | st.dictionaries(any_text, json_values, max_size=2),
    created_at=times,
)


@settings(deadline=None, max_examples=20)
@given(job=jobs, attempt=attempts, run=runs, backend=backends, definition=definitions)
async def test_rows_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    job: Job,
    attempt: Attempt,
    run: Run,
    backend: Backend,
    definition: Definition,
) -> None:
    attempt = dataclasses.replace(attempt, job_id=job.id)
    database = await Database.open(tmp_path_factory.mktemp("rows") / "store.sqlite3")
    try:
        await JobRepository(database).create(job, run=run)
        assert await JobRepository(database).get(job.id) == job
        await JobRepository(database).apply(
            dispatched(job.id, expected=job.status, status=job.status, attempts=(attempt,), events=())
        )
        assert await AttemptRepository(database).for_job(job.id) == (attempt,)
        assert await RunRepository(database).get("run") == run
        await BackendRepository(database).add(backend)
        assert await BackendRepository(database).get(backend.id) == backend
        await DefinitionRepository(database).create(definition)
        restored = await DefinitionRepository(database).get(definition.id)
        assert restored == definition
    finally:
        await database.close()


def test_a_field_from_before_it_existed_gets_its_default() -> None:
    assert codec.load(Failure, '{"cause": "stalled", "message": "m"}').traceback == ()
    assert codec.load(Credentials, "{}") == Credentials()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        (None, "expected text"),
        (b"{}", "expected text"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "expected an object"),
        ("{}", "'cause' is missing"),
        ('{"cause": "boredom", "message": ""}', "boredom"),
        ('{"cause": "stalled", "message": 5}', "expected text, found int"),
        ('{"cause": "stalled", "message": "", "traceback": "line"}', "expected an array"),
        ('{"cause": "stalled", "message": "", "traceback": [null]}', "expected text, found NoneType"),
        ('{"cause": "stalled", "message": "", "dropped": "yes"}', "expected true or false"),
    ],
)
def test_a_damaged_column_is_told_with_its_row(text: object, reason: str) -> None:
    with pytest.raises(StoreDamaged, match=f"row of failure 'f1' is damaged: .*{reason}"), codec.row("failure", "f1"):
        codec.load(Failure, text)


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), {1, 2}, object(), b"bytes", nested(100_000), 10**5000],
    ids=["nan", "infinity", "set", "object", "bytes", "deep", "huge"],
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest, match="cannot be stored as JSON"):
        codec.dump(value)
