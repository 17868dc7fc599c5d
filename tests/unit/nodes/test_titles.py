from __future__ import annotations

from typing import Any

import pytest

from comfy_orchestrator_nodes.nodes.titles import MAX_LENGTH, run_title

NAMES = {"portrait": "Portrait", "upscale": "Upscale"}


def remote(workflow: Any) -> dict[str, Any]:
    return {"class_type": "OrchestratorRemoteWorkflow", "inputs": {"workflow": workflow}}


def title(prompt: Any, workflow: Any = None) -> str:
    return run_title(prompt, {"workflow": workflow}, lambda id_: NAMES.get(id_, id_))


def test_a_run_is_called_as_its_workflow() -> None:
    assert title({"1": remote("portrait")}, {"extra": {"orchestrator": {"title": "Summer\n album"}}}) == "Summer album"


@pytest.mark.parametrize("workflow", [{"name": "Album"}, {"title": "Album"}, {"extra": {"info": {"name": "Album"}}}])
def test_documents_of_others_say_their_name_elsewhere(workflow: dict[str, Any]) -> None:
    assert title({"1": remote("portrait")}, workflow) == "Album"


def test_a_nameless_one_is_called_by_what_it_runs() -> None:
    prompt = {"1": remote("portrait"), "2": remote("upscale"), "3": remote("upscale"), "4": {"class_type": "SaveImage"}}
    assert title(prompt, {"extra": []}) == "Portrait, Upscale ×2"


def test_of_many_workflows_the_first_are_named() -> None:
    assert title({str(i): remote(f"w{i}") for i in range(6)}) == "w0, w1, w2, w3, …"


def test_long_names_are_cut() -> None:
    assert len(title({}, {"name": "x" * 500})) == MAX_LENGTH


@pytest.mark.parametrize("prompt", [None, [], {"1": None}, {"1": {"class_type": 3}}, {"1": remote(["2", 0])}])
def test_what_cannot_be_understood_has_no_title(prompt: Any) -> None:
    assert run_title(prompt, "nonsense", str) == ""
