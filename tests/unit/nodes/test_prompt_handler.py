"""What is written into a prompt before ComfyUI validates it."""

from __future__ import annotations

import json
from typing import Any

from comfy_orchestrator_nodes.domain import Definition, Output
from comfy_orchestrator_nodes.nodes.prompt_handler import SHOW, annotate, show_ends
from comfy_orchestrator_nodes.workflow.graph import REMOTE_WORKFLOW

DEFINITION = Definition(
    id="d",
    version=1,
    name="Two",
    prompt={},
    parameters=(),
    outputs=(Output("image", "IMAGE", "1", 0), Output("mask", "MASK", "2", 0)),
)
LATENT = Definition("l", 1, "One", {}, (), (Output("latent", "LATENT", "1", 0), Output("seed", "INT", "2", 0)))


def prompt(parameters: str = "{}", *links: int) -> dict[str, Any]:
    node = {"class_type": REMOTE_WORKFLOW, "inputs": {"workflow": "d", "backend": "auto", "parameters": parameters}}
    users = {f"u{slot}": {"class_type": "PreviewAny", "inputs": {"source": ["rw", slot]}} for slot in links}
    return {"rw": node, **users}


def wanted(annotated: dict[str, Any]) -> Any:
    return json.loads(annotated["rw"]["inputs"]["parameters"]).get("wanted")


def lookup(definition_id: str) -> Definition | None:
    return {"d": DEFINITION, "l": LATENT}.get(definition_id)


def test_the_outputs_that_somebody_uses_are_written_in() -> None:
    assert wanted(annotate(prompt("{}", 3), lookup)) == ["mask"]
    assert wanted(annotate(prompt("", 2, 3), lookup)) == ["image", "mask"]


def test_a_node_of_which_only_the_report_is_used_runs_and_leaves_its_results_where_they_are() -> None:
    annotated = annotate(prompt("{}", 1), lookup)
    assert (wanted(annotated), native(annotated)) == (["image", "mask"], [])


def test_slots_that_were_named_keep_their_names() -> None:
    assert wanted(annotate(prompt('{"out": ["mask"]}', 2), lookup)) == ["mask"]


def test_another_use_of_outputs_makes_another_cache_key() -> None:
    one, two = annotate(prompt("{}", 2), lookup), annotate(prompt("{}", 2, 3), lookup)
    assert one["rw"] != two["rw"]
    assert annotate(prompt("{}", 2), lookup)["rw"] == one["rw"]


def test_what_cannot_be_understood_is_left_for_validation_to_refuse() -> None:
    for broken in (prompt("{", 2), prompt('{"out": ["gone"]}', 2)):
        assert annotate(broken, lookup) == broken
    unknown = prompt("{}", 2)
    unknown["rw"]["inputs"]["workflow"] = "other"
    assert annotate(unknown, lookup) == unknown
    assert annotate({"x": None, "y": {"inputs": 5}}, lookup) == {"x": None, "y": {"inputs": 5}}


def native(annotated: dict[str, Any]) -> Any:
    return json.loads(annotated["rw"]["inputs"]["parameters"])["native"]


def test_an_output_that_only_remote_workflows_take_may_stay_where_it_is_made() -> None:
    graph = prompt("{}", 3)
    graph["next"] = {"class_type": REMOTE_WORKFLOW, "inputs": {"workflow": "d", "in_1": ["rw", 2]}}
    annotated = annotate(graph, lookup)
    assert (wanted(annotated), native(annotated)) == (["image", "mask"], ["mask"])
    graph["look"] = {"class_type": "PreviewImage", "inputs": {"images": ["rw", 2]}}
    assert native(annotate(graph, lookup)) == ["image", "mask"]


def test_an_output_that_sets_a_widget_of_a_remote_workflow_is_a_native_value() -> None:
    graph = prompt()
    graph["next"] = {"class_type": REMOTE_WORKFLOW, "inputs": {"workflow": "d", "parameters": ["rw", 2]}}
    assert native(annotate(graph, lookup)) == ["image"]


def is_output(class_type: str) -> bool:
    return class_type == "SaveImage"


def test_remote_workflows_alone_show_their_own_images() -> None:
    shown = show_ends(prompt(), lookup, is_output)
    assert shown["rw.show"] == {
        "class_type": SHOW,
        "inputs": {"node": "rw", "value_1": ["rw", 18], "value_2": ["rw", 2]},
    }
    assert wanted(annotate(shown, lookup)) == ["image"]


def test_what_cannot_be_shown_is_made_but_not_brought_here_for_that() -> None:
    graph = prompt('{"out": ["latent"]}')
    graph["rw"]["inputs"]["workflow"] = "l"
    shown = annotate(show_ends(graph, lookup, is_output), lookup)
    assert shown["rw.show"]["inputs"] == {"node": "rw", "value_1": ["rw", 18]}
    assert (wanted(shown), native(shown)) == (["latent"], [])
    graph["rw"]["inputs"]["parameters"] = "{}"
    shown = annotate(show_ends(graph, lookup, is_output), lookup)
    assert shown["rw.show"]["inputs"]["value_2"] == ["rw", 3]
    assert (wanted(shown), native(shown)) == (["seed"], ["seed"])


def test_the_other_nodes_at_an_end_show_what_they_made() -> None:
    graph = prompt()
    graph["merge"] = {"class_type": "OrchestratorMerge", "inputs": {"in_1": ["rw", 2]}}
    graph["condition"] = {"class_type": "OrchestratorCondition", "inputs": {"value_1": ["rw", 2]}}
    graph["foreign"] = {"class_type": "ImageInvert", "inputs": {"image": ["rw", 2]}}
    shown = show_ends(graph, lookup, is_output)
    assert shown["merge.show"]["inputs"] == {"node": "merge", "value_1": ["merge", 0]}
    assert shown["condition.show"]["inputs"] == {"node": "condition", "value_1": ["condition", 0]}
    assert shown.keys() - graph.keys() == {"merge.show", "condition.show"}


def test_only_the_last_of_a_chain_is_shown() -> None:
    chain = prompt()
    chain["next"] = {"class_type": REMOTE_WORKFLOW, "inputs": {"workflow": "d", "parameters": "{}", "in_1": ["rw", 2]}}
    assert {"rw.show", "next.show"} & show_ends(chain, lookup, is_output).keys() == {"next.show"}


def test_nothing_is_added_where_the_prompt_has_an_output_of_its_own() -> None:
    with_output = {**prompt(), "save": {"class_type": "SaveImage", "inputs": {}}}
    assert show_ends(with_output, lookup, is_output) == with_output


def test_a_node_that_cannot_be_understood_runs_and_so_is_refused_with_its_reason() -> None:
    broken = show_ends(prompt("{"), lookup, is_output)
    assert broken["rw.show"]["inputs"] == {"node": "rw", "value_1": ["rw", 18]}
    assert show_ends({"x": None, "y": {"inputs": 5}}, lookup, is_output) == {"x": None, "y": {"inputs": 5}}
