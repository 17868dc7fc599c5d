"""What a workflow offers to its user: every input that can be exposed, every output, and a sensible choice of both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..domain import FILE_TYPES, SCALAR_TYPES, STORED_TYPES, Json, Output, Parameter, Prompt
from ..errors import InvalidPrompt
from .graph import (
    MARKERS,
    WORKFLOW_INPUT,
    WORKFLOW_OUTPUT,
    Link,
    ancestors,
    as_link,
    check_prompt,
    class_type,
    consumers,
    inputs_of,
    link_type,
    links_of,
    title_of,
)
from .naming import Naming, slug, unique_names
from .needs import file_input_type
from .nodeinfo import InputSpec, NodeInfo
from .roles import SUGGESTION_ORDER, base_name, constant_inputs, is_suggested, polarity_of, role_of

_DEFAULT_PREFIX = "ComfyUI"
_TEXT_INPUTS = frozenset({"source", "text", "value", "string"})
_VALUE_TYPES = STORED_TYPES | SCALAR_TYPES


@dataclass(frozen=True)
class Inspection:
    """What was found in a prompt."""

    parameters: tuple[Parameter, ...]
    """Every input that can be exposed, those of Workflow Input nodes first. Names are unique."""
    outputs: tuple[Output, ...]
    """Everything that a saving or showing node gets, those of Workflow Output nodes first. Names are unique."""
    suggested_parameters: tuple[str, ...]
    """Names of the parameters to expose unless the user decides otherwise."""
    suggested_outputs: tuple[str, ...]
    """Names of the outputs to expose unless the user decides otherwise."""
    unknown_classes: tuple[str, ...] = ()
    """Classes that nobody described: their inputs and outputs are not listed."""
    remarks: tuple[str, ...] = ()
    """What the user should know: outputs that no carrier can move, Workflow Outputs that lead nowhere."""

    def suggestion(self) -> tuple[tuple[Parameter, ...], tuple[Output, ...]]:
        """Return the suggested parameters, in the order they should be shown, and outputs."""
        parameters = {p.name: p for p in self.parameters}
        outputs = {o.name: o for o in self.outputs}
        return (
            tuple(parameters[name] for name in self.suggested_parameters),
            tuple(outputs[name] for name in self.suggested_outputs),
        )


@dataclass(frozen=True)
class _Candidate:
    parameter: Parameter
    naming: Naming


@dataclass(frozen=True)
class _Yield:
    """A link that an output node consumes."""

    output: Output
    naming: Naming
    final: bool
    """Whether the node saves; a mere preview is often left in the middle of a workflow."""


def inspect(prompt: Prompt, infos: Mapping[str, NodeInfo]) -> Inspection:
    """Find what can be exposed of a prompt.

    Inputs are listed if something that is saved or shown depends on them. Workflow Input and Workflow Output nodes name
    theirs themselves, and where there are any, only they are suggested.

    Raises:
        InvalidPrompt: the prompt is malformed, or two Workflow Input (or Output) nodes have one name.
    """
    prompt = check_prompt(prompt)
    explicit_outputs, remarks = _workflow_outputs(prompt, infos)
    yields, more_remarks = _yields(prompt, infos, {(o.node_id, o.index) for o in explicit_outputs})
    outputs = _named_outputs(explicit_outputs, yields)
    relevant = _relevant(prompt, infos)
    explicit_parameters = _workflow_inputs(prompt, infos, relevant)
    fed = consumers(prompt)
    candidates = [c for node_id in relevant for c in _candidates(node_id, prompt, infos, fed)]
    parameters = _named_parameters(explicit_parameters, candidates)
    known = MARKERS | infos.keys()
    return Inspection(
        parameters=parameters,
        outputs=outputs,
        suggested_parameters=_suggested_parameters(explicit_parameters, candidates, parameters),
        suggested_outputs=_suggested_outputs(explicit_outputs, yields, outputs),
        unknown_classes=tuple(dict.fromkeys(class_type(n) for n in prompt.values() if class_type(n) not in known)),
        remarks=(*remarks, *more_remarks),
    )


# --- parameters ------------------------------------------------------------------------------------------------------


def _relevant(prompt: Prompt, infos: Mapping[str, NodeInfo]) -> list[str]:
    """Return the nodes that something saved or shown depends on, in order; all of them if nothing is known to be."""
    roots = [n for n, node in prompt.items() if class_type(node) == WORKFLOW_OUTPUT or _is_output(node, infos)]
    wanted = ancestors(prompt, roots) if roots else set(prompt)
    return [node_id for node_id in prompt if node_id in wanted]


def _is_output(node: Mapping[str, Json], infos: Mapping[str, NodeInfo]) -> bool:
    info = infos.get(class_type(node))
    return info is not None and info.output_node


def _workflow_inputs(prompt: Prompt, infos: Mapping[str, NodeInfo], relevant: Sequence[str]) -> list[Parameter]:
    fed = consumers(prompt)
    found = [
        _workflow_input(node_id, prompt, infos, fed)
        for node_id in relevant
        if class_type(prompt[node_id]) == WORKFLOW_INPUT
    ]
    _refuse_repeated("Workflow Input", [p.name for p in found])
    return found


def _workflow_input(
    node_id: str, prompt: Prompt, infos: Mapping[str, NodeInfo], fed: Mapping[Link, list[tuple[str, str]]]
) -> Parameter:
    node = prompt[node_id]
    type_ = link_type(prompt, (node_id, 0), infos)
    if type_ not in _VALUE_TYPES:
        raise InvalidPrompt(
            f"Workflow Input {node_id} has no type: choose one of {', '.join(sorted(_VALUE_TYPES))}.", node_id=node_id
        )
    value = inputs_of(node).get("value")
    linked = as_link(value) is not None
    parameter = Parameter(
        name=_marker_name(node_id, node, "input"),
        type=type_,
        node_id=node_id,
        input_name="value",
        default=None if linked else value,
        required=value is None,
        role=type_.lower() if type_ in FILE_TYPES else "",
    )
    return parameter if type_ in STORED_TYPES else _as_consumed(parameter, prompt, infos, fed)


def _as_consumed(
    parameter: Parameter, prompt: Prompt, infos: Mapping[str, NodeInfo], fed: Mapping[Link, list[tuple[str, str]]]
) -> Parameter:
    """Take over range, choices and role from the first widget that the value feeds."""
    for target, input_name in fed.get((parameter.node_id, 0), ()):
        info = infos.get(class_type(prompt[target]))
        spec = info.resolve(input_name, inputs_of(prompt[target])) if info else None
        if info is None or spec is None or spec.widget_type is None:
            continue
        fits = spec.widget_type == parameter.type
        if not fits and not (parameter.type == "STRING" and spec.type == "COMBO"):
            continue
        return replace(
            parameter,
            type=parameter.type if fits else "COMBO",
            minimum=spec.minimum,
            maximum=spec.maximum,
            step=spec.step,
            choices=_choices(spec),
            multiline=spec.multiline,
            tooltip=spec.tooltip,
            role=role_of(spec, parameter.default, info),
        )
    return parameter


def _candidates(
    node_id: str, prompt: Prompt, infos: Mapping[str, NodeInfo], fed: Mapping[Link, list[tuple[str, str]]]
) -> list[_Candidate]:
    node = prompt[node_id]
    info = infos.get(class_type(node))
    if info is None or class_type(node) in MARKERS:
        return []
    specs = [(info.resolve(name, inputs_of(node)), value) for name, value in constant_inputs(node).items()]
    exposable = [(s, p) for s, v in specs if s is not None and (p := _parameter(node_id, s, v, info)) is not None]
    texts = sum(parameter.role == "text" for _, parameter in exposable)
    polarity = polarity_of(node_id, prompt, fed, infos) if texts else ""
    label = _label(node, info)
    found = []
    for spec, parameter in exposable:
        base = slug(base_name(parameter.role, spec, polarity, only_text=texts == 1)) or "value"
        found.append(_Candidate(parameter, Naming(base, label, is_suggested(parameter.role, spec, node, info))))
    return found


def _parameter(node_id: str, spec: InputSpec, value: Json, info: NodeInfo) -> Parameter | None:
    file_type = file_input_type(info.class_type, spec.name, info)
    type_ = file_type or spec.widget_type
    if type_ not in _VALUE_TYPES or isinstance(value, Mapping) or spec.options.get("hidden"):
        return None
    return Parameter(
        name=spec.name,
        type=type_,
        node_id=node_id,
        input_name=spec.name,
        default=value,
        minimum=spec.minimum,
        maximum=spec.maximum,
        step=spec.step,
        choices=None if file_type else _choices(spec),
        multiline=spec.multiline,
        tooltip=spec.tooltip,
        role=file_type.lower() if file_type else role_of(spec, value, info),
    )


def _choices(spec: InputSpec) -> tuple[Json, ...] | None:
    return spec.choices if spec.type == "COMBO" else None


def _label(node: Mapping[str, Json], info: NodeInfo) -> str:
    """Return what tells a node from others of its class: the title, if the user gave it one of its own."""
    title = title_of(node)
    return "" if title in ("", info.display_name, info.class_type) else slug(title)


def _named_parameters(explicit: Sequence[Parameter], candidates: Sequence[_Candidate]) -> tuple[Parameter, ...]:
    names = unique_names([c.naming for c in candidates], [p.name for p in explicit])
    named = (replace(c.parameter, name=name) for c, name in zip(candidates, names, strict=True))
    return (*explicit, *named)


def _suggested_parameters(
    explicit: Sequence[Parameter], candidates: Sequence[_Candidate], parameters: Sequence[Parameter]
) -> tuple[str, ...]:
    if explicit:
        return tuple(p.name for p in explicit)
    suggested = [p for c, p in zip(candidates, parameters, strict=True) if c.naming.prominent]
    return tuple(p.name for p in sorted(suggested, key=lambda p: SUGGESTION_ORDER.index(p.role)))


# --- outputs ---------------------------------------------------------------------------------------------------------


def _workflow_outputs(prompt: Prompt, infos: Mapping[str, NodeInfo]) -> tuple[list[Output], list[str]]:
    found: list[Output] = []
    remarks: list[str] = []
    for node_id, node in prompt.items():
        if class_type(node) != WORKFLOW_OUTPUT:
            continue
        name = _marker_name(node_id, node, "output")
        link = as_link(inputs_of(node).get("value"))
        if link is None:
            remarks.append(f"Workflow Output {name!r} is not connected and yields nothing.")
            continue
        type_ = link_type(prompt, link, infos)
        if type_ in _VALUE_TYPES or type_ == "*":
            found.append(Output(name, type_, *link))
        else:
            remarks.append(f"Workflow Output {name!r} is a {type_}, which cannot leave a backend.")
    _refuse_repeated("Workflow Output", [o.name for o in found])
    return found, remarks


def _yields(prompt: Prompt, infos: Mapping[str, NodeInfo], taken: set[Link]) -> tuple[list[_Yield], list[str]]:
    """Return what output nodes consume, each link once, and remarks on what cannot be carried."""
    found: dict[Link, _Yield] = {}
    remarks: list[str] = []
    for node_id, node in prompt.items():
        info = infos.get(class_type(node))
        if info is None or not info.output_node or class_type(node) in MARKERS:
            continue
        mine = list(_node_yields(node, info, prompt, infos))
        if not mine:
            remarks.append(
                f"{title_of(node) or info.display_name} (node {node_id}) yields nothing that can be carried."
            )
        for one in mine:
            link = (one.output.node_id, one.output.index)
            if link not in taken and (link not in found or (one.final and not found[link].final)):
                found[link] = one
    return list(found.values()), remarks


def _node_yields(
    node: Mapping[str, Json], info: NodeInfo, prompt: Prompt, infos: Mapping[str, NodeInfo]
) -> Iterable[_Yield]:
    for name, link in links_of(node):
        spec = info.resolve(name, inputs_of(node))
        declared = spec.type if spec else "*"
        type_ = link_type(prompt, link, infos)
        if type_ == "*" and declared in FILE_TYPES:
            type_ = declared
        if type_ not in FILE_TYPES and not (_shows_text(name, spec) and (type_ in SCALAR_TYPES or type_ == "*")):
            continue
        naming = _output_naming(node, info, type_)
        yield _Yield(Output(naming.base, type_, *link), naming, final="preview" not in info.class_type.casefold())


def _shows_text(name: str, spec: InputSpec | None) -> bool:
    return spec is not None and name in _TEXT_INPUTS and (spec.type in ("*", "STRING") or spec.is_link_only)


def _output_naming(node: Mapping[str, Json], info: NodeInfo, type_: str) -> Naming:
    """Call an output by its node's own title, else by its type, which the file prefix the user chose may qualify."""
    prefix = inputs_of(node).get("filename_prefix")
    stem = re.split(r"[\\/]", prefix)[-1] if isinstance(prefix, str) and "%" not in prefix else ""
    by_type = "text" if type_ in ("*", "STRING") else slug(type_)
    return Naming(_label(node, info) or by_type, slug("" if stem == _DEFAULT_PREFIX else stem))


def _named_outputs(explicit: Sequence[Output], yields: Sequence[_Yield]) -> tuple[Output, ...]:
    names = unique_names([y.naming for y in yields], [o.name for o in explicit])
    return (*explicit, *(replace(y.output, name=name) for y, name in zip(yields, names, strict=True)))


def _suggested_outputs(
    explicit: Sequence[Output], yields: Sequence[_Yield], outputs: Sequence[Output]
) -> tuple[str, ...]:
    if explicit:
        return tuple(o.name for o in explicit)
    named = list(zip(yields, outputs, strict=True))
    final = [o.name for y, o in named if y.final]
    files = [o.name for _, o in named if o.type in FILE_TYPES]
    return tuple(final or files or [o.name for o in outputs])


# --- our own nodes ---------------------------------------------------------------------------------------------------


def _marker_name(node_id: str, node: Mapping[str, Json], fallback: str) -> str:
    name = inputs_of(node).get("name")
    if isinstance(name, str) and name.strip():
        return name.strip()
    return slug(title_of(node)) or f"{fallback}_{slug(node_id)}"


def _refuse_repeated(kind: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        listed = ", ".join(repr(name) for name in repeated)
        raise InvalidPrompt(f"Several {kind} nodes are named {listed}: give each a name of its own.", names=repeated)
