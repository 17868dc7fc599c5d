from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.backend.answers import (
    HistoryStatus,
    parse_cancelled,
    parse_features,
    parse_history,
    parse_names,
    parse_queue,
    parse_rejection,
    parse_submitted,
    parse_system_stats,
    parse_uploaded,
    parse_version,
)
from comfy_orchestrator_nodes.backend.fields import Malformed
from comfy_orchestrator_nodes.backend.results import NodeError, RemoteFile, parse_output
from tests.support.foreign_json import foreign_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.3.75", (0, 3, 75)),
        ("v0.3.75", (0, 3, 75)),
        ("0.3.75-12-gabcdef", (0, 3, 75)),
        (" 0.10 ", (0, 10)),
        ("1.2.3.4", (1, 2, 3, 4)),
        ("unknown", None),
        ("", None),
        ("7", None),
    ],
)
def test_a_version_is_read(text: str, expected: tuple[int, ...] | None) -> None:
    assert parse_version(text) == expected


def test_versions_compare_by_number() -> None:
    assert (parse_version("0.10.0") or ()) > (parse_version("0.3.99") or ())


def test_the_newer_form_of_a_missing_class_reads_like_the_older() -> None:
    older = parse_rejection(
        {
            "error": {
                "type": "invalid_prompt",
                "message": "Cannot execute because node My Node does not exist.",
                "details": "Node ID '#12:3'",
                "extra_info": {},
            },
            "node_errors": [],
        }
    )
    newer = parse_rejection(
        {
            "error": {
                "type": "missing_node_type",
                "message": "Node 'My Node' not found. The custom node may not be installed.",
                "details": "Node ID '#12:3'",
                "extra_info": {"node_id": "12:3", "class_type": "My Node", "node_title": "My Node"},
            },
            "node_errors": {},
        }
    )

    for found in (older, newer):
        assert found.kind == "missing_node_type"
        assert found.node_errors["12:3"][0]["class_type"] == "My Node"
        assert found.node_errors["12:3"][0]["type"] == "missing_node_type"
        assert "My Node" in found.message
        assert "12:3" in found.message


def test_a_node_without_a_class_keeps_its_kind() -> None:
    found = parse_rejection(
        {
            "error": {
                "type": "invalid_prompt",
                "message": "Cannot execute because a node is missing the class_type property.",
                "details": "Node ID '#1'",
                "extra_info": {},
            },
            "node_errors": [],
        }
    )

    assert found.kind == "invalid_prompt"
    assert found.node_errors == {}


def test_a_rejection_names_the_first_node_that_is_wrong() -> None:
    error = {"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name: 'a' not in []"}
    found = parse_rejection(
        {
            "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
            "node_errors": {
                "4": {"errors": [error], "class_type": "CheckpointLoaderSimple", "dependent_outputs": ["9"]}
            },
        }
    )

    assert found.message == (
        "Prompt outputs failed validation (CheckpointLoaderSimple 4: ckpt_name: 'a' not in []: Value not in list)"
    )


def test_a_rejection_in_one_text_is_taken() -> None:
    assert parse_rejection({"error": "no prompt"}).message == "no prompt"


def test_an_empty_history_is_no_entry() -> None:
    assert parse_history({}, "p") is None
    assert parse_history({"other": {}}, "p") is None


def history(status: Any, outputs: Any = None) -> dict[str, Any]:
    return {"p": {"prompt": [0, "p", {}, {}, []], "outputs": outputs or {}, "status": status, "meta": {}}}


def test_an_entry_without_a_status_is_unknown() -> None:
    entry = parse_history(history(None), "p")

    assert entry is not None
    assert entry.status is HistoryStatus.UNKNOWN


def test_an_interrupted_prompt_is_no_error() -> None:
    messages = [
        ["execution_start", {"timestamp": 1000}],
        ["execution_interrupted", {"node_id": "3", "timestamp": 2500}],
    ]
    entry = parse_history(history({"status_str": "error", "completed": False, "messages": messages}), "p")

    assert entry is not None
    assert entry.status is HistoryStatus.INTERRUPTED
    assert entry.error is None
    assert (entry.interrupted_node_id, entry.started_at, entry.ended_at) == ("3", 1.0, 2.5)


def test_outputs_keep_files_and_values_apart() -> None:
    file = {"filename": "a.png", "subfolder": "", "type": "output", "id": "x"}
    output = parse_output({"images": [file, None], "animated": [True], "text": ["t"], "empty": [], "bare": 5})

    assert output.files == {"images": (RemoteFile("a.png", "", "output"),)}
    assert output.values == {"images": (None,), "animated": (True,), "text": ("t",), "empty": (), "bare": (5,)}


@pytest.mark.parametrize(
    ("exception_type", "message", "expected"),
    [
        ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory.", True),
        ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("RuntimeError", "CUDA error: out of memory", True),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 18 GB)", True),
        ("MemoryError", "", True),
        ("RuntimeError", "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: not enough memory", True),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied", False),
        ("ValueError", "", False),
    ],
)
def test_running_out_of_memory_is_recognised(exception_type: str, message: str, expected: bool) -> None:
    assert NodeError("1", "KSampler", exception_type, message).out_of_memory is expected


def test_a_file_is_annotated_as_loaders_take_it() -> None:
    assert RemoteFile("a.png", "", "input").annotated == "a.png [input]"
    assert RemoteFile("a.png", "x/y", "temp").annotated == "x/y/a.png [temp]"


def test_a_queue_of_six_parts_is_read_like_one_of_five() -> None:
    nodes = {"1": {"class_type": "OrchestratorRemoteWorkflow", "inputs": {}}, "2": {"class_type": "X"}, "3": 5}
    snapshot = parse_queue(
        {
            "queue_running": [[-1.0, "a", nodes, {"client_id": "c"}, ["2"], {"secret": 1}]],
            "queue_pending": [[7, "c", {}, {}, []], [3, "b", {}, {}, []]],
        }
    )

    assert snapshot.busy_orchestrating
    assert snapshot.running[0].class_types == {"OrchestratorRemoteWorkflow", "X"}
    assert snapshot.running[0].client_id == "c"
    assert [prompt.prompt_id for prompt in snapshot.pending] == ["b", "c"]


@pytest.mark.parametrize("limit", [None, "5", 0, -1, True, float("nan"), float("inf"), 10**30])
def test_a_limit_that_makes_no_sense_is_none(limit: Any) -> None:
    assert parse_features({"max_upload_size": limit}).max_upload_bytes is None


FIELDS = """p status messages outputs status_str queue_running queue_pending error node_errors errors type message
    details extra_info system devices comfyui_version name 1 prompt_id number cancelled vram_total filename subfolder
    max_upload_size"""
PARSERS = [
    lambda value: parse_history(value, "p"),
    parse_cancelled,
    parse_features,
    parse_names,
    parse_queue,
    parse_rejection,
    parse_submitted,
    parse_system_stats,
    parse_uploaded,
]


@given(st.sampled_from(PARSERS), foreign_json(FIELDS))
def test_no_answer_breaks_a_parser(parser: Any, value: Any) -> None:
    with suppress(Malformed):
        parser(value)
