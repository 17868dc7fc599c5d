"""From a definition to the prompt that one attempt sends to one backend. The definition is never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

from ..domain import STORED_TYPES, Definition, FileRef, Json, Output, Parameter, Prompt, Value
from ..errors import InvalidPrompt, NotFound, UnsupportedValue, ValueLost
from .fragments import Carriers, Collector, Entry, Lowered, MakeId, Refusal
from .graph import MARKERS, Link, ancestors, as_link, class_type, id_maker, inputs_of, is_kept, links_of
from .needs import file_input_type, files_needed, missing, spell_models
from .nodeinfo import NodeInfo

_UNSET = object()
"""What a Workflow Input yields that has neither a value nor a default."""


def lower(
    definition: Definition,
    values: Mapping[str, Value],
    wanted: Sequence[str],
    *,
    carriers: Carriers,
    attempt_id: str,
    files: Mapping[str, str],
    file_inputs: Mapping[str, FileRef] | None = None,
    infos: Mapping[str, NodeInfo] | None = None,
) -> Lowered:
    """Lower a definition for one attempt on one backend.

    Only what the wanted outputs depend on is kept, and nodes that are marked to be kept. Workflow Input and Output
    nodes are gone; what they pass on is wired through. Every wanted output ends in a carrier instead of the node that
    saved or showed it.

    Args:
        definition: what to run.
        values: bound values by parameter name; a parameter left out keeps the constant of the prompt.
        wanted: names of the outputs to collect.
        carriers: how values enter and leave this backend.
        attempt_id: enters each carrier, so that it runs again while what it depends on stays cached there.
        files: SHA-256 of each file to the annotated name under which this backend has it.
        file_inputs: stored copies of files that loader nodes name without being exposed: name as written -> file. A
            name that is absent here is left for the backend to find in its own folders.
        infos: every class of the definition that the backend has; names are spelled and choices checked by them.
            Without any, nothing is checked.

    Raises:
        NotFound: an output or a parameter of that name does not exist.
        UnsupportedValue: this backend cannot carry a value of such a type.
        ValueLost: a file has no remote name.
        InvalidPrompt: the definition is inconsistent.
    """
    infos = infos or {}
    draft = _Draft(definition.prompt, carriers, files)
    bound: set[tuple[str, str]] = set()
    for name, value in values.items():
        parameter = _parameter(definition, name)
        bound.add((parameter.node_id, parameter.input_name))
        draft.set_value(parameter, value, infos)
    for need in files_needed(definition.prompt, infos, bound):
        ref = (file_inputs or {}).get(need.value)
        if ref is not None:
            draft.set_constant(need.node_id, need.input_name, draft.remote_name(ref))
    draft.wire()
    collectors = {name: draft.collect(_output(definition, name), attempt_id) for name in dict.fromkeys(wanted)}
    kept = [node_id for node_id, node in definition.prompt.items() if is_kept(node) and class_type(node) not in MARKERS]
    prompt = draft.pruned([collector.node_id for collector in collectors.values()] + kept)
    spell_models(prompt, infos)
    return Lowered(
        prompt,
        collectors,
        {node_id: draft.stands_for[node_id] for node_id in prompt if node_id in draft.stands_for},
        missing({node_id: node for node_id, node in prompt.items() if node_id in definition.prompt}, infos),
    )


def preflight(
    definition: Definition,
    values: Mapping[str, Value],
    wanted: Sequence[str],
    *,
    carriers: Carriers,
    infos: Mapping[str, NodeInfo],
    losses: Callable[[str], str | None] | None = None,
) -> tuple[Refusal, ...]:
    """Return why a backend with these node classes could not run the definition; nothing if it could.

    Args:
        definition: what to run.
        values: bound values by parameter name.
        wanted: names of the outputs to collect.
        carriers: how values enter and leave this backend.
        infos: every class of the definition that the backend has.
        losses: says what the carriers lose of a type; given where nothing may be lost.
    """
    names = {ref.sha256: ref.sha256 for value in values.values() for ref in value.files}
    lossy: tuple[Refusal, ...] = ()
    try:
        lossy = _lossy(definition, values, wanted, losses) if losses is not None else ()
        lowered = lower(definition, values, wanted, carriers=carriers, attempt_id="preflight", files=names, infos=infos)
    except UnsupportedValue as error:
        found = missing(prune(definition.prompt, _sources(definition, wanted)), infos)
        return (Refusal("carrier", str(error)), *lossy, *found)
    return (*lowered.refusals, *lossy)


def _lossy(
    definition: Definition, values: Mapping[str, Value], wanted: Sequence[str], losses: Callable[[str], str | None]
) -> tuple[Refusal, ...]:
    crossing = [value.type for value in values.values()] + [_output(definition, name).type for name in wanted]
    told = {type_: losses(type_) for type_ in dict.fromkeys(crossing) if type_ != "*"}
    return tuple(
        Refusal("carrier", f"this job must lose nothing, and of {type_} {text}")
        for type_, text in told.items()
        if text is not None
    )


def prune(prompt: Prompt, roots: Iterable[str]) -> Prompt:
    """Return the part of a prompt that ``roots`` depend on, and the nodes marked to be kept with theirs."""
    wanted = ancestors(prompt, [*roots, *(node_id for node_id, node in prompt.items() if is_kept(node))])
    return {node_id: node for node_id, node in prompt.items() if node_id in wanted}


def needed_prompt(definition: Definition, wanted: Sequence[str]) -> Prompt:
    """Return the part of the definition's prompt that the wanted outputs depend on, without our marker nodes.

    It is what ``needs.missing``, ``models_needed`` and ``files_needed`` should be asked about.
    """
    pruned = prune(definition.prompt, _sources(definition, wanted))
    return {node_id: node for node_id, node in pruned.items() if class_type(node) not in MARKERS}


class _Draft:
    """A prompt in the making: a copy of the definition's nodes and what is to be wired differently."""

    def __init__(self, prompt: Prompt, carriers: Carriers, remote_names: Mapping[str, str]) -> None:
        self.nodes: dict[str, dict[str, Json]] = {
            node_id: {**node, "inputs": dict(inputs_of(node))} for node_id, node in prompt.items()
        }
        self.stands_for: dict[str, str] = {node_id: node_id for node_id in prompt}
        self._carriers = carriers
        self._remote_names = remote_names
        self._make_id: MakeId = id_maker(self.nodes)
        self._redirects: dict[Link, Json] = {}

    def remote_name(self, ref: FileRef) -> str:
        """Return the name under which the backend has a file."""
        name = self._remote_names.get(ref.sha256)
        if name is None:
            raise ValueLost(f"File {ref.sha256} was not sent to the backend.", sha256=ref.sha256)
        return name

    def set_constant(self, node_id: str, input_name: str, value: Json) -> None:
        """Put a constant into a node. A list is wrapped, because a bare one would be read as a link."""
        self.nodes[node_id]["inputs"][input_name] = {"__value__": value} if isinstance(value, list) else value

    def set_value(self, parameter: Parameter, value: Value, infos: Mapping[str, NodeInfo]) -> None:
        """Put a bound value where its parameter says."""
        node = self.nodes.get(parameter.node_id)
        if node is None:
            raise InvalidPrompt(
                f"Parameter {parameter.name!r} belongs to node {parameter.node_id}, which is not there."
            )
        kind = class_type(node)
        if parameter.type not in STORED_TYPES:
            self.set_constant(parameter.node_id, parameter.input_name, value.data)
            return
        names = [self.remote_name(ref) for ref in value.files]
        if kind in MARKERS:
            entry = self._enter(parameter, value, names)
            self._redirects[parameter.node_id, 0] = list(entry.link)
        elif self._carriers.by_file and not value.is_blob and len(names) == 1 and parameter.type != "MASK":
            self.set_constant(parameter.node_id, parameter.input_name, names[0])
        else:
            self._replace_loader(parameter, value, names, infos.get(kind))

    def _replace_loader(self, parameter: Parameter, value: Value, names: Sequence[str], info: NodeInfo | None) -> None:
        """Feed a loader's consumers from a carrier: it reads one file, or one channel of it, and this value is more."""
        kind = class_type(self.nodes[parameter.node_id])
        if file_input_type(kind, parameter.input_name, info) != parameter.type:
            raise UnsupportedValue(
                f"{kind} (node {parameter.node_id}) cannot take {len(names)} files as one {parameter.type}.",
                type=parameter.type,
            )
        entry = self._enter(parameter, value, names, as_loaded=True)
        types = info.output_types if info else ("IMAGE", "MASK") if parameter.type == "IMAGE" else (parameter.type,)
        for index, type_ in enumerate(types):
            if type_ == parameter.type:
                self._redirects[parameter.node_id, index] = list(entry.link)
            elif type_ == "MASK" and entry.mask_link is not None:
                self._redirects[parameter.node_id, index] = list(entry.mask_link)

    def _enter(self, parameter: Parameter, value: Value, names: Sequence[str], *, as_loaded: bool = False) -> Entry:
        if value.is_blob:
            entry = self._carriers.enter_blobs(parameter.type, names, self._make_id, as_loaded=as_loaded)
        else:
            entry = self._carriers.enter(parameter.type, names, self._make_id)
        self._add(entry.nodes, parameter.node_id)
        return entry

    def collect(self, output: Output, attempt_id: str) -> Collector:
        """End an output in a carrier."""
        source = self._resolve((output.node_id, output.index))
        if source is _UNSET or (as_link(source) is not None and source[0] not in self.nodes):
            raise InvalidPrompt(f"Output {output.name!r} has nothing to yield: node {output.node_id} gives no value.")
        leave = self._carriers.leave(output.name, output.type, source, attempt_id, self._make_id)
        self._add(leave.nodes, output.node_id)
        return leave.collector

    def wire(self) -> None:
        """Make every link go where its value comes from now, past markers and replaced loaders."""
        for node_id, node in self.nodes.items():
            for name, link in list(links_of(node)):
                source = self._resolve(link)
                if source is _UNSET:
                    del node["inputs"][name]
                elif as_link(source) is not None:
                    node["inputs"][name] = source
                else:
                    self.set_constant(node_id, name, source)

    def _resolve(self, link: Link) -> Json:
        """Return the link (as a list) or constant that feeds the consumers of ``link``."""
        seen: set[Link] = set()
        while True:
            if link in seen:
                raise InvalidPrompt(f"Node {link[0]} feeds itself.", node_id=link[0])
            seen.add(link)
            value = self._redirects.get(link, _UNSET)
            if value is _UNSET:
                node = self.nodes.get(link[0])
                if node is None or class_type(node) not in MARKERS:
                    return list(link)
                value = node["inputs"].get("value", _UNSET)
            following = as_link(value)
            if following is None:
                return _unwrapped(value)
            link = following

    def pruned(self, roots: Sequence[str]) -> dict[str, dict[str, Json]]:
        """Return what the roots depend on."""
        wanted = ancestors(self.nodes, roots)
        for node_id in wanted:
            for name, (source, _) in links_of(self.nodes[node_id]):
                if source not in self.nodes:
                    raise InvalidPrompt(f"Input {name!r} of node {node_id} is linked to node {source}: there is none.")
        return {node_id: node for node_id, node in self.nodes.items() if node_id in wanted}

    def _add(self, nodes: Mapping[str, Mapping[str, Json]], stands_for: str) -> None:
        for node_id, node in nodes.items():
            self.nodes[node_id] = {**node, "inputs": dict(inputs_of(node))}
            self.stands_for[node_id] = stands_for


def _unwrapped(value: Json) -> Json:
    return value["__value__"] if isinstance(value, Mapping) and set(value) == {"__value__"} else value


def _sources(definition: Definition, wanted: Sequence[str]) -> list[str]:
    return [_output(definition, name).node_id for name in wanted]


def _parameter(definition: Definition, name: str) -> Parameter:
    found = definition.parameter(name)
    if found is None:
        raise _not_found("parameter", name, (p.name for p in definition.parameters))
    return found


def _output(definition: Definition, name: str) -> Output:
    found = next((o for o in definition.outputs if o.name == name), None)
    if found is None:
        raise _not_found("output", name, (o.name for o in definition.outputs))
    return found


def _not_found(kind: str, name: str, names: Iterable[str]) -> NotFound:
    return NotFound(kind, name, near=get_close_matches(name, list(names), n=3))
