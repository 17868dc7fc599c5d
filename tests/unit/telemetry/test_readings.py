from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given

from comfy_orchestrator_nodes.backend.answers import parse_system_stats
from comfy_orchestrator_nodes.backend.fields import Malformed
from comfy_orchestrator_nodes.backend.readings import from_system_stats, parse_telemetry
from tests.support.foreign_json import foreign_json
from tests.unit.telemetry.conftest import GIB, a_sample


def an_answer(**changes: Any) -> Any:
    return {"cursor": "a-1", "now": 50.0, "interval_s": 1.0, "problem": "", "samples": [a_sample(48.5)], **changes}


def test_ages_are_taken_from_the_agents_own_clock() -> None:
    told = parse_telemetry(an_answer())
    assert [reading.age_s for reading in told.readings] == [1.5]
    assert told.readings[0].devices[0].values["power_w"] == 200


def test_a_sample_of_the_future_is_one_of_now() -> None:
    assert parse_telemetry(an_answer(now=10.0)).readings[0].age_s == 0


WORDS = (
    "cursor now interval_s problem samples at host devices models sources id name kind state message parent values "
    "throttled_by processes unsupported pid own vram_used_bytes size_bytes loaded_bytes device"
)


@given(foreign_json(WORDS), foreign_json(WORDS))
def test_whatever_a_broken_agent_sends_is_read_or_refused(answer: Any, part: Any) -> None:
    for sent in (answer, an_answer(samples=[part]), an_answer(samples=[{**a_sample(1.0), "devices": [part]}])):
        try:
            told = parse_telemetry(sent)
        except Malformed:
            continue
        for reading in told.readings:
            assert all(math.isfinite(value) for value in reading.host.values())
            assert all(math.isfinite(value) for device in reading.devices for value in device.values.values())


@pytest.mark.parametrize("value", [True, None, "5", [], {}, 1e19, float("nan"), float("inf")])
def test_what_is_no_number_is_no_value(value: Any) -> None:
    sample = a_sample(1.0)
    sample["host"] = {"cpu_ratio": value}
    assert parse_telemetry(an_answer(samples=[sample])).readings[0].host == {}


def stats(*devices: Any) -> Any:
    system = {"comfyui_version": "0.3.75", "ram_total": 16 * GIB, "ram_free": 4 * GIB}
    return parse_system_stats({"system": system, "devices": list(devices)})


def test_a_plain_comfyui_tells_its_memory() -> None:
    gpu = {"name": "cuda:0 A GPU", "type": "cuda", "index": 0, "vram_total": 24 * GIB, "vram_free": 20 * GIB}
    reading = from_system_stats(stats(gpu))
    assert reading.host == {"ram_total_bytes": 16 * GIB, "ram_used_bytes": 12 * GIB}
    (device,) = reading.devices
    assert (device.id, device.name) == ("cuda:0", "cuda:0 A GPU")
    assert device.values == {"vram_total_bytes": 24 * GIB, "vram_used_bytes": 4 * GIB}


def test_a_processor_is_no_gpu() -> None:
    assert from_system_stats(stats({"name": "cpu", "type": "cpu", "vram_total": 1, "vram_free": 1})).devices == ()
