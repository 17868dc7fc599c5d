"""From a file that a user has to a draft of a definition: read, converted, looked into. Nothing is stored here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..backend.peer import Farm
from ..domain import LOCAL_BACKEND_ID, Definition, Output, Parameter, Prompt
from ..errors import BackendError, ConversionFailed, InvalidDocument, Unavailable
from ..workflow.bundle import Bundle
from ..workflow.convert import to_prompt
from ..workflow.document import Document
from ..workflow.exposure import check_definition
from ..workflow.files import plain_prompt, read_file
from ..workflow.graph import check_prompt, class_type
from ..workflow.inspect import Inspection, inspect
from ..workflow.nested import node_types
from ..workflow.patch import needed_prompt
from ..workflow.requirements import Requirements, requirements
from .describe import described, informants


@dataclass(frozen=True)
class Draft:
    """What a file or the canvas came to."""

    found: str
    """What was found, in a sentence."""
    prompt: Prompt
    workflow: Mapping[str, Any] | None
    converted: bool
    """Whether the prompt was made from the workflow here; otherwise it is what ComfyUI's own front end made."""
    inspection: Inspection
    needs: Requirements
    warnings: tuple[str, ...]
    """What the user should know before storing it."""

    def definition(
        self,
        name: str,
        *,
        definition_id: str = "",
        description: str = "",
        tags: tuple[str, ...] = (),
        parameters: tuple[Parameter, ...] | None = None,
        outputs: tuple[Output, ...] | None = None,
    ) -> Definition:
        """Return it as a definition; what is exposed is suggested where it is not given.

        Raises:
            InvalidRequest: what is exposed does not fit the prompt, or nothing comes out of it.
        """
        suggested_parameters, suggested_outputs = self.inspection.suggestion()
        definition = Definition(
            id=definition_id,
            version=1,
            name=name,
            prompt=self.prompt,
            parameters=suggested_parameters if parameters is None else parameters,
            outputs=suggested_outputs if outputs is None else outputs,
            description=description,
            tags=tags,
            workflow=self.workflow,
        )
        check_definition(definition)
        return definition


class Documents:
    """Reads workflows. Lives on the server loop; parsing and converting happen in threads."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    async def open(self, file: BinaryIO, filename: str = "") -> Document | Bundle:
        """Read any file that can enter the library; see ``workflow.files.read_file``.

        Raises:
            InvalidDocument: it is damaged, hostile, or holds nothing that could be used.
        """
        return await asyncio.to_thread(read_file, file, name=filename)

    async def draft(self, found: Document) -> Draft:
        """Return what a document came to.

        Where it holds both a workflow and a prompt, the prompt counts: ComfyUI's own front end made it.

        Raises:
            ConversionFailed: its workflow cannot be converted exactly; every reason is listed.
            InvalidPrompt: its prompt is malformed.
            Unavailable: no server says what its nodes are.
        """
        if found.prompt is not None:
            prompt: Prompt = plain_prompt(found.prompt)
            return await self._looked_into(found.describe(), prompt, found.workflow, converted=False, warnings=())
        if found.workflow is None:
            raise InvalidDocument("The file holds neither a workflow nor a prompt.")
        prompt, warnings = await self._convert(found.workflow)
        return await self._looked_into(found.describe(), prompt, found.workflow, converted=True, warnings=warnings)

    async def needs(self, definition: Definition) -> Requirements:
        """Return what a definition needs in order to yield its outputs."""
        prompt = needed_prompt(definition, tuple(output.name for output in definition.outputs))
        return requirements(prompt, await described(self._farm, {class_type(node) for node in prompt.values()}))

    async def _looked_into(
        self,
        found: str,
        prompt: Prompt,
        workflow: Mapping[str, Any] | None,
        *,
        converted: bool,
        warnings: tuple[str, ...],
    ) -> Draft:
        check_prompt(prompt)
        infos = await described(self._farm, {class_type(node) for node in prompt.values()})
        inspection = inspect(prompt, infos)
        unknown = inspection.unknown_classes
        if unknown:
            warnings = (*warnings, f"No server that was reached has {', '.join(unknown)}: it can run nowhere yet.")
        return Draft(
            found=found,
            prompt=prompt,
            workflow=workflow,
            converted=converted,
            inspection=inspection,
            needs=requirements(prompt, infos),
            warnings=(*warnings, *inspection.remarks),
        )

    async def _convert(self, workflow: Mapping[str, Any]) -> tuple[Prompt, tuple[str, ...]]:
        """Convert by this server's node classes, with those of other backends that it lacks.

        Raises:
            ConversionFailed: as ``to_prompt``.
            Unavailable: no server answered.
        """
        object_info, silent = await self._object_info(node_types(workflow))
        if not object_info:
            raise Unavailable(
                "The workflow cannot be converted, because no server says what its nodes are "
                f"({'; '.join(silent) or 'none is known'}). Try again once this ComfyUI is up, or save the workflow in "
                "API format."
            )
        try:
            return await asyncio.to_thread(_converted, workflow, object_info)
        except ConversionFailed as error:
            if not silent:
                raise
            raise ConversionFailed(
                [*error.reasons, *(f"not every server was heard: {why}" for why in silent)]
            ) from None

    async def _object_info(self, types: frozenset[str]) -> tuple[dict[str, Any], list[str]]:
        """Return all node classes of this server, those of the types that only others have, and who was silent."""
        found: dict[str, Any] = {}
        silent: list[str] = []
        for peer in informants(self._farm):
            try:
                if peer.backend.id == LOCAL_BACKEND_ID:
                    infos = await peer.infos.all()
                else:
                    known = peer.capabilities.node_classes if peer.capabilities is not None else frozenset()
                    infos = await peer.infos.many((types & known) - found.keys())
            except BackendError as error:
                silent.append(str(error))
                continue
            found |= {name: info.raw for name, info in infos.items() if name not in found}
        return found, silent


def _converted(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> tuple[Prompt, tuple[str, ...]]:
    choices = 0

    def first(_: int) -> int:
        nonlocal choices
        choices += 1
        return 0

    prompt = to_prompt(workflow, object_info, choose=first)
    if not choices:
        return prompt, ()
    return prompt, ("Of each {a|b} in its texts the first was taken: a definition does not choose anew in each run.",)
