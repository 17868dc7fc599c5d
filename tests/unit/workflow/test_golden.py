"""The front end's own answers, case by case: those kept here always, a larger collection where it is at hand."""

from __future__ import annotations

import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.workflow.convert import to_prompt
from tests.golden.questions import CASES

ROOT = Path(__file__).resolve().parents[3]
OWN = ROOT / "tests" / "golden" / "cases"
COLLECTION = Path(os.environ.get("GOLDEN_DIR") or ROOT.parent / "shared" / "golden")

_OLD_PLAYER = "front end 1.32.9 sends its audio player, which 1.58.1 does not; servers ignore it"
_OLD_PREVIEW = "front end 1.32.9 sends the text preview of PreviewAny, which 1.58.1 does not; servers ignore it"

EXCLUDED = {
    "edge_b32_fe1329/legacy_reroute_muted_bypassed": "1.32.9 follows a muted reroute, 1.58.1 does not",
    "edge_b32_fe1329/optional_unconnected": _OLD_PREVIEW,
    "t0725_fe1329/05_audio_ace_step_1_t2a_song_subgraphed": _OLD_PLAYER,
    "t0725_fe1329/api_from_photo_2_miniature": _OLD_PREVIEW,
    "t0725_fe1329/api_google_gemini": _OLD_PREVIEW,
    "t0725_fe1329/api_google_gemini_image": _OLD_PREVIEW,
    "t0725_fe1329/api_openai_chat": _OLD_PREVIEW,
    "t0725_fe1329/api_wan_image_to_video": _OLD_PLAYER,
    "t0725_fe1329/audio_ace_step_1_m2m_editing": _OLD_PLAYER,
    "t0725_fe1329/audio_stable_audio_example": _OLD_PLAYER,
}
"""Cases where the two front ends disagree and ours follows the newer one."""


def collection() -> list[str]:
    if not COLLECTION.is_dir():
        return []
    return [f"{path.parent.name}/{path.stem}" for path in sorted(COLLECTION.glob("*/*.json"))]


@cache
def object_info(name: str) -> Any:
    return json.loads((COLLECTION / name).read_text())


def same(ours: Any, theirs: Any) -> bool:
    """Whether two JSON values are equal to JavaScript: 1 is 1.0, true is not 1, integers are doubles."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs, rel_tol=0, abs_tol=0) or float(ours) == float(theirs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)


def differences(ours: Any, theirs: Any, volatile: set[tuple[str, str]]) -> list[str]:
    found = [f"only one has node {key}" for key in ours.keys() ^ theirs.keys()]
    for key in ours.keys() & theirs.keys():
        if ours[key]["class_type"] != theirs[key]["class_type"]:
            found.append(f"{key} is {ours[key]['class_type']}, not {theirs[key]['class_type']}")
        mine, given = ours[key]["inputs"], theirs[key]["inputs"]
        found.extend(
            f"{key}.{name}: {mine.get(name, 'absent')!r}, not {given.get(name, 'absent')!r}"
            for name in {*mine, *given}
            if (key, name) not in volatile and not (name in mine and name in given and same(mine[name], given[name]))
        )
    return found


@pytest.mark.parametrize("name", sorted(path.stem for path in OWN.glob("*.json")))
def test_own_case_converts_as_in_the_browser(name: str) -> None:
    case = json.loads((OWN / f"{name}.json").read_text())

    prompt = to_prompt(case["workflow"], case["object_info"])

    assert not differences(prompt, case["api"], set())
    assert {key: node["_meta"] for key, node in prompt.items()} == {
        key: node["_meta"] for key, node in case["api"].items()
    }
    assert list(prompt) == list(case["api"])


def test_every_composed_workflow_has_its_answer() -> None:
    assert {path.stem for path in OWN.glob("*.json")} == CASES.keys()


@pytest.mark.parametrize("name", sorted(CASES))
def test_answer_belongs_to_the_workflow_as_composed(name: str) -> None:
    case = json.loads((OWN / f"{name}.json").read_text())

    assert case["workflow"] == json.loads(json.dumps(CASES[name]()))


@pytest.mark.parametrize("name", collection())
def test_collected_case_converts_as_in_the_browser(name: str) -> None:
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    case = json.loads((COLLECTION / f"{name}.json").read_text())

    prompt = to_prompt(case["workflow"], object_info(case["object_info"]))

    volatile = {(node_id, input_name) for node_id, input_name in case.get("volatile", [])}
    assert not differences(prompt, case["api"], volatile)


@pytest.mark.skipif(not COLLECTION.is_dir(), reason="the collection is not at hand")
def test_exclusions_name_cases_that_exist_and_still_differ() -> None:
    for name in EXCLUDED:
        case = json.loads((COLLECTION / f"{name}.json").read_text())

        prompt = to_prompt(case["workflow"], object_info(case["object_info"]))

        assert differences(prompt, case["api"], set()), f"{name} does not differ any more"
