from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.backend.fields import Malformed
from comfy_orchestrator_nodes.backend.messages import (
    Cached,
    Executed,
    Executing,
    ExecutionError,
    FeatureFlags,
    Interrupted,
    Message,
    NodeProgress,
    Preview,
    Progress,
    ProgressState,
    ProgressText,
    Started,
    Status,
    Success,
    UnknownMessage,
    parse_binary,
    parse_text,
)
from comfy_orchestrator_nodes.backend.results import NodeError, NodeOutput, RemoteFile
from tests.support.foreign_json import foreign_json

ERROR = {
    "prompt_id": "p",
    "node_id": "3",
    "node_type": "KSampler",
    "executed": [],
    "exception_message": "bad shape\n",
    "exception_type": "RuntimeError",
    "traceback": ["  File a\n", "  File b\n"],
    "current_inputs": {"seed": [1]},
    "current_outputs": [],
    "timestamp": 1,
}


FILE = {"filename": "a.png", "subfolder": "s", "type": "temp"}


def frame(kind: str, data: Any) -> str:
    return json.dumps({"type": kind, "data": data})


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("status", {"status": {"exec_info": {"queue_remaining": 2}}, "sid": "x"}, Status(2)),
        ("feature_flags", {"max_upload_size": 5}, FeatureFlags({"max_upload_size": 5})),
        ("execution_start", {"prompt_id": "p", "timestamp": 1}, Started("p")),
        ("execution_cached", {"nodes": ["1", 2], "prompt_id": "p"}, Cached("p", ("1", "2"))),
        ("executing", {"node": "1", "display_node": "1", "prompt_id": "p"}, Executing("p", "1")),
        ("executing", {"node": None, "prompt_id": "p"}, Executing("p", None)),
        ("executing", {"node": "1"}, Executing(None, "1")),
        ("progress", {"value": 3, "max": 20, "prompt_id": "p", "node": "1"}, Progress("p", "1", 3.0, 20.0)),
        (
            "progress_state",
            {"prompt_id": "p", "nodes": {"1": {"value": 1, "max": 2, "state": "running", "node_id": "1"}}},
            ProgressState("p", {"1": NodeProgress(1.0, 2.0, "running")}),
        ),
        (
            "executed",
            {
                "node": "2",
                "output": {"images": [{"filename": "a.png", "subfolder": "s", "type": "temp"}]},
                "prompt_id": "p",
            },
            Executed("p", "2", NodeOutput({"images": (RemoteFile("a.png", "s", "temp"),)})),
        ),
        ("executed", {"node": "2", "output": None, "prompt_id": "p"}, Executed("p", "2", NodeOutput())),
        ("execution_success", {"prompt_id": "p", "timestamp": 1}, Success("p")),
        (
            "execution_error",
            ERROR,
            ExecutionError("p", NodeError("3", "KSampler", "RuntimeError", "bad shape", ("  File a\n", "  File b\n"))),
        ),
        ("execution_interrupted", {"prompt_id": "p", "node_id": "3", "node_type": "X"}, Interrupted("p", "3")),
    ],
)
def test_a_message_becomes_its_type(kind: str, data: Any, expected: Message) -> None:
    assert parse_text(frame(kind, data)) == expected


METADATA = json.dumps({"node_id": "1:2", "display_node_id": "1", "prompt_id": "p", "image_type": "image/png"}).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (struct.pack(">II", 1, 1) + b"jpeg", Preview(b"jpeg", "image/jpeg")),
        (struct.pack(">II", 1, 2) + b"png", Preview(b"png", "image/png")),
        (struct.pack(">II", 3, 2) + b"17" + "schön".encode(), ProgressText("17", "schön")),
        (struct.pack(">II", 4, len(METADATA)) + METADATA + b"png", Preview(b"png", "image/png", "p", "1")),
    ],
)
def test_a_binary_message_becomes_its_type(data: bytes, expected: Message) -> None:
    assert parse_binary(data) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"type": 5, "data": {}}',
        '{"type": "status"}',
        '{"type": "status", "data": []}',
        frame("status", {"status": {"exec_info": {"queue_remaining": True}}}),
        frame("progress", {"value": "1", "max": 2}),
        frame("progress", {"value": float("nan"), "max": 2}),
        frame("progress", {"value": 1, "max": float("inf")}),
        frame("progress", {"value": 10**400, "max": 1}),
        frame("execution_cached", {"nodes": None, "prompt_id": "p"}),
        frame("executing", {"prompt_id": "p"}),
        frame("executed", {"node": "1", "output": [], "prompt_id": "p"}),
        frame("execution_success", {}),
        frame("execution_error", {"prompt_id": "p"}),
        frame("progress_state", {"prompt_id": "p", "nodes": {"1": None}}),
        '{"type": "status", "data": ' + "[" * 100_000,
    ],
)
def test_a_malformed_message_says_so(text: str) -> None:
    with pytest.raises(Malformed):
        parse_text(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        struct.pack(">I", 1),
        struct.pack(">II", 3, 99) + b"1",
        struct.pack(">II", 4, 2**32 - 1) + b"{}",
        struct.pack(">II", 4, 2) + b"[]",
        struct.pack(">II", 4, 2) + b"\xff\xff",
    ],
)
def test_a_malformed_binary_message_says_so(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_binary(data)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownMessage, match=r"crystools\.monitor"):
        parse_text(frame("crystools.monitor", {}))
    with pytest.raises(UnknownMessage, match="binary 2"):
        parse_binary(struct.pack(">I", 2))


FIELDS = """prompt_id node nodes output value max state status exec_info queue_remaining node_id images filename
    subfolder type traceback exception_type exception_message x"""
KINDS = """status executing executed progress progress_state execution_error execution_interrupted execution_start
    execution_cached execution_success feature_flags other"""


@given(st.sampled_from(KINDS.split()), foreign_json(FIELDS))
def test_no_message_breaks_the_parser(kind: str, data: Any) -> None:
    with suppress(Malformed, UnknownMessage):
        parse_text(frame(kind, data))


@given(st.sampled_from([1, 2, 3, 4]), st.binary(max_size=40))
def test_no_binary_message_breaks_the_parser(event: int, data: bytes) -> None:
    with suppress(Malformed, UnknownMessage):
        parse_binary(struct.pack(">I", event) + data)
