"""ComfyUI's validation of a prompt, as far as the fake backend has its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.node_classes import NodeClass

Json = Any


@dataclass
class Verdict:
    """Outputs that may run, errors by node, and the error of the whole prompt if none may."""

    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, Json] = field(default_factory=dict)
    error: dict[str, Json] | None = None


def validate(prompt: Mapping[str, Json], classes: Mapping[str, NodeClass], files: Mapping[str, bytes]) -> Verdict:
    """Check a prompt as ``execution.validate_prompt`` of ComfyUI 0.3.75 does. ``files`` are by annotated name."""
    candidates: list[str] = []
    for node_id, node in prompt.items():
        class_type = node.get("class_type")
        if class_type is None:
            return _refused("Cannot execute because a node is missing the class_type property.", node_id)
        if class_type not in classes:
            return _refused(f"Cannot execute because node {class_type} does not exist.", node_id)
        if classes[class_type].info["output_node"]:
            candidates.append(node_id)
    if not candidates:
        return Verdict(error=_error("prompt_no_outputs", "Prompt has no outputs", ""))
    verdict = Verdict()
    for output in candidates:
        nodes = _upstream(prompt, output)
        bad = {node: errors for node in nodes if (errors := _node_errors(prompt, node, classes, files))}
        if not bad:
            verdict.outputs.append(output)
        for node, errors in bad.items():
            entry = {"errors": errors, "dependent_outputs": [], "class_type": prompt[node]["class_type"]}
            verdict.node_errors.setdefault(node, entry)["dependent_outputs"].append(output)
    if not verdict.outputs:
        verdict.error = _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", "")
    return verdict


def _upstream(prompt: Mapping[str, Json], node: str) -> list[str]:
    seen: list[str] = []
    todo = [node]
    while todo:
        current = todo.pop()
        if current in seen or current not in prompt:
            continue
        seen.append(current)
        todo += [value[0] for value in prompt[current]["inputs"].values() if is_link(value)]
    return seen


def is_link(value: Json) -> bool:
    """Whether an input's value is ``[node_id, output_index]``."""
    return isinstance(value, list) and len(value) == 2


def _node_errors(
    prompt: Mapping[str, Json], node: str, classes: Mapping[str, NodeClass], files: Mapping[str, bytes]
) -> list[Json]:
    known = classes[prompt[node]["class_type"]]
    declared = known.info["input"]["required"]
    given = prompt[node]["inputs"]
    found = (
        _input_error(name, spec, given, prompt, classes)
        for name, spec in declared.items()
        if name not in known.unchecked or name not in given
    )
    errors = [error for error in found if error is not None]
    if errors or not known.unchecked:
        return errors
    complaint = known.check(given, files)
    if complaint is None:
        return []
    name = next(iter(known.unchecked))
    details = f"{name} - {complaint}"
    return [_error("custom_validation_failed", "Custom validation failed for node", details, {"input_name": name})]


def _input_error(
    name: str, spec: Json, given: Mapping[str, Json], prompt: Mapping[str, Json], classes: Mapping[str, NodeClass]
) -> Json | None:
    extra = {"input_name": name}
    if name not in given:
        return _error("required_input_missing", "Required input is missing", name, extra)
    value, kind, options = given[name], spec[0], spec[1] if len(spec) > 1 else {}
    if is_link(value):
        source = prompt.get(value[0])
        outputs = classes[source["class_type"]].info["output"] if source is not None else []
        if source is None or kind == "*" or outputs[value[1]] == kind:
            return None
        details = f"{name}, received_type({outputs[value[1]]}) mismatch input_type({kind})"
        return _error("return_type_mismatch", "Return type mismatch between linked nodes", details, extra)
    if isinstance(kind, list):
        if value in kind:
            return None
        return _error("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {kind}", extra)
    if kind == "INT":
        if "min" in options and value < options["min"]:
            message = f"Value {value} smaller than min of {options['min']}"
            return _error("value_smaller_than_min", message, name, extra)
        if "max" in options and value > options["max"]:
            return _error("value_bigger_than_max", f"Value {value} bigger than max of {options['max']}", name, extra)
    return None


def _refused(message: str, node_id: str) -> Verdict:
    return Verdict(error=_error("invalid_prompt", message, f"Node ID '#{node_id}'"))


def _error(kind: str, message: str, details: str, extra_info: Json | None = None) -> dict[str, Json]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info or {}}
