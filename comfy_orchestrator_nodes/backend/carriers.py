"""How values enter and leave a plain ComfyUI: through stock nodes, built against what that server declares.

What each carrier keeps and loses is told in ``docs/carriers.md`` and by ``loss``. File names are hashes, in a folder of
our own, so that equal files are sent once and our files do not slow the listing of other folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..domain import (
    BLOB_MEDIA_TYPE,
    FILE_TYPES,
    SCALAR_TYPES,
    STORED_TYPES,
    Definition,
    FileRef,
    JobSpec,
    Json,
    Value,
)
from ..errors import UnsupportedValue
from ..workflow.fragments import Collector, Entry, Exit, MakeId
from ..workflow.graph import Link
from ..workflow.nodeinfo import DYNAMIC_COMBO, InputSpec, NodeInfo, parse_input
from .object_info import ObjectInfoCache

FOLDER = "orchestrator"
"""The subfolder of a backend's folders that holds what we write."""

_SUFFIXES = {
    "image/png": ".png",
    "image/webp": ".webp",
    "image/jpeg": ".jpg",
    "image/tiff": ".tiff",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/quicktime": ".mov",
    "application/x-comfyui-latent": ".latent",
    BLOB_MEDIA_TYPE: ".safetensors",
    "application/octet-stream": ".bin",
}
LATENT_MEDIA_TYPE = "application/x-comfyui-latent"
"""The media type under which ComfyUI's ``.latent`` files (safetensors) are kept."""

_MEDIA_TYPES = {
    **{suffix: media_type for media_type, suffix in reversed(list(_SUFFIXES.items()))},
    ".jpeg": "image/jpeg",
    ".tif": "image/tiff",
}
_BATCH_LIMIT = 50
"""``BatchImagesNode`` takes at most 50 images (``max`` of its growing input)."""


@dataclass(frozen=True)
class UploadName:
    """Where an uploaded file goes on a backend: the fields of ``POST /upload/image``, and how loaders name it."""

    filename: str
    subfolder: str = FOLDER
    type: str = "temp"

    @property
    def annotated(self) -> str:
        """The name in a loader node's input, valid for every loader (``folder_paths.get_annotated_filepath``)."""
        return f"{self.subfolder}/{self.filename} [{self.type}]"


def upload_name(ref: FileRef) -> UploadName:
    """Return where a file is uploaded: named by its hash, in the temp folder, which the server empties itself."""
    media_type = ref.media_type.split(";")[0].strip().lower()
    return UploadName(ref.sha256 + _SUFFIXES.get(media_type, ".bin"))


def media_type_of(filename: str) -> str:
    """Return the media type that a collected file's name tells."""
    dot = filename.rfind(".")
    return _MEDIA_TYPES.get(filename[dot:].lower() if dot >= 0 else "", "application/octet-stream")


_ENTER_CLASSES = {
    "IMAGE": ("LoadImage", "ImageBatch", "BatchImagesNode", "MaskToImage", "ImageToMask"),
    "MASK": ("LoadImage", "ImageBatch", "BatchImagesNode", "ImageToMask"),
    "LATENT": ("LoadLatent",),
    "AUDIO": ("LoadAudio",),
    "VIDEO": ("LoadVideo",),
}
_PREFIX_CLASSES = ("PrimitiveString", "PrimitiveStringMultiline")
_LEAVE_CLASSES = {
    "IMAGE": ("PreviewImage", "SaveImage", *_PREFIX_CLASSES),
    "MASK": ("MaskToImage", "PreviewImage", "SaveImage", *_PREFIX_CLASSES),
    "LATENT": ("SaveLatent",),
    "AUDIO": ("PreviewAudio", "SaveAudio", "SaveAudioAdvanced", *_PREFIX_CLASSES),
    "VIDEO": ("SaveVideo",),
}
_LOSSES = {
    "IMAGE": "pixels are rounded to 8 bits a channel, and an alpha channel is dropped on the way in",
    "MASK": "values are rounded to 8 bits",
    "LATENT": "only the samples travel, as 32-bit floats: noise_mask, batch_index and type are lost",
    "AUDIO": "samples leave rounded to 16 bits (FLAC), with at most two channels, and a batch cannot enter",
    "VIDEO": "a video made of frames is encoded (H.264); one that comes from a file keeps its streams",
}
_LOSSES_OUT = {
    **_LOSSES,
    "IMAGE": "pixels came as 8 bits a channel (PNG); anything finer was cut off",
    "MASK": "values came as 8 bits (PNG); anything finer was cut off",
    "AUDIO": "samples came rounded to 16 bits (FLAC)",
}


def loss(type_: str) -> str | None:
    """Say in words what a plain backend's carriers lose of a value of this type, or None if nothing.

    Raises:
        UnsupportedValue: no carrier moves this type at all.
    """
    if type_ in _LOSSES:
        return _LOSSES[type_]
    if type_ in SCALAR_TYPES:
        return None
    raise _no_carrier(type_)


class PlainCarriers:
    """The carriers of one plain backend, by what its ``/object_info`` declares. Implements ``workflow.Carriers``."""

    def __init__(self, infos: Mapping[str, NodeInfo]) -> None:
        self._infos = infos

    @property
    def by_file(self) -> bool:
        """True: values are uploaded as files that LoadImage and the like read."""
        return True

    @property
    def infos(self) -> Mapping[str, NodeInfo]:
        """The node classes that they are made of."""
        return self._infos

    def loss(self, type_: str) -> str | None:
        """Say in words what is lost of a value of this type, or None if nothing.

        Raises:
            UnsupportedValue: it cannot travel at all.
        """
        return loss(type_)

    def loss_on_leaving(self, type_: str) -> str:
        """Say in words what may have been lost of an output of this type; empty if nothing."""
        return _LOSSES_OUT.get(type_, "")

    def takes(self, value: Value) -> bool:
        """Whether a stored value can enter as it is, or must be written to files first."""
        return not value.is_blob or value.type not in FILE_TYPES

    def as_blob(self, type_: str) -> bool:
        """Whether a value of this type that has to be written anew becomes a blob: never here."""
        return False

    # --- in ----------------------------------------------------------------------------------------------------------

    def enter(self, type_: str, names: Sequence[str], make_id: MakeId) -> Entry:
        """Build the loaders of ``names``: one value out of one file or of several in batch order.

        Raises:
            UnsupportedValue: the type has no carrier, the backend lacks its nodes, or several files cannot become one
                value of this type.
        """
        if not names:
            raise UnsupportedValue(f"A value of type {type_} without files cannot be sent.", type=type_)
        if type_ == "IMAGE":
            return self._enter_image(names, make_id)
        if type_ == "MASK":
            return self._enter_mask(names, make_id)
        if type_ in ("LATENT", "AUDIO", "VIDEO"):
            return self._enter_single(type_, names, make_id)
        raise _no_carrier(type_)

    def _enter_image(self, names: Sequence[str], make_id: MakeId) -> Entry:
        graph = _Graph(self._infos, make_id)
        loaders = [graph.add("LoadImage", "load", image=name) for name in names]
        if len(loaders) == 1:
            return Entry(graph.nodes, (loaders[0], 0), (loaders[0], 1))
        # There is no stock node that joins masks, so they are joined as images; unused ones are pruned.
        masks = [(graph.add("MaskToImage", "mask_image", mask=[loader, 1]), 0) for loader in loaders]
        joined_mask = graph.add("ImageToMask", "mask", image=list(self._join(graph, masks)), channel="red")
        return Entry(graph.nodes, self._join(graph, [(loader, 0) for loader in loaders]), (joined_mask, 0))

    def _enter_mask(self, names: Sequence[str], make_id: MakeId) -> Entry:
        """Read the red channel: LoadImage's own MASK is inverted alpha, and LoadImageMask reads one frame only."""
        graph = _Graph(self._infos, make_id)
        images: list[Link] = [(graph.add("LoadImage", "load", image=name), 0) for name in names]
        mask = graph.add("ImageToMask", "mask", image=list(self._join(graph, images)), channel="red")
        return Entry(graph.nodes, (mask, 0))

    def _enter_single(self, type_: str, names: Sequence[str], make_id: MakeId) -> Entry:
        if len(names) > 1:
            raise UnsupportedValue(
                f"A plain backend cannot take {type_} in {len(names)} files as one value: send them one by one.",
                type=type_,
            )
        class_type, input_name = {
            "LATENT": ("LoadLatent", "latent"),
            "AUDIO": ("LoadAudio", "audio"),
            "VIDEO": ("LoadVideo", "file"),
        }[type_]
        graph = _Graph(self._infos, make_id)
        return Entry(graph.nodes, (graph.add(class_type, "load", **{input_name: names[0]}), 0))

    def _join(self, graph: _Graph, images: Sequence[Link]) -> Link:
        """Join images of one size into a batch, as a balanced tree: joining one by one would copy quadratically."""
        links = list(images)
        if len(links) == 1:
            return links[0]
        width = _BATCH_LIMIT if "ImageBatch" not in self._infos and "BatchImagesNode" in self._infos else 2
        while len(links) > 1:
            links = [self._join_some(graph, links[i : i + width]) for i in range(0, len(links), width)]
        return links[0]

    @staticmethod
    def _join_some(graph: _Graph, links: Sequence[Link]) -> Link:
        if len(links) == 1:
            return links[0]
        if graph.has("ImageBatch"):
            return graph.add("ImageBatch", "batch", image1=list(links[0]), image2=list(links[1])), 0
        grown = {f"images.image{number}": list(link) for number, link in enumerate(links)}
        return graph.add("BatchImagesNode", "batch", **grown), 0

    def enter_blobs(self, type_: str, hashes: Sequence[str], make_id: MakeId, *, as_loaded: bool = False) -> Entry:
        """Refuse: only an agent takes native values as they are.

        Raises:
            UnsupportedValue: always.
        """
        raise _no_carrier(type_)

    # --- out ---------------------------------------------------------------------------------------------------------

    def leave(self, output: str, type_: str, source: Json, attempt_id: str, make_id: MakeId) -> Exit:
        """Build what writes ``source`` to files, or shows it as text, under a name of this attempt's own.

        Raises:
            UnsupportedValue: the type has no carrier, or the backend lacks its nodes.
        """
        graph = _Graph(self._infos, make_id)
        if type_ in FILE_TYPES:
            prefix = f"{FOLDER}/{attempt_id}/{type_.lower()}"
            if type_ == "MASK":
                source = [graph.add("MaskToImage", "mask_image", mask=source), 0]
            writer = {
                "IMAGE": self._leave_image,
                "MASK": self._leave_image,
                "LATENT": self._leave_latent,
                "AUDIO": self._leave_audio,
                "VIDEO": self._leave_video,
            }[type_]
            node_id, key, preview = writer(graph, source, prefix)
            return Exit(graph.nodes, Collector(output, type_, node_id, key, preview=preview))
        if type_ in SCALAR_TYPES or type_ == "*":
            node_id = graph.add("PreviewAny", "text", source=source)
            return Exit(graph.nodes, Collector(output, type_, node_id, "text", is_text=True))
        raise _no_carrier(type_)

    def _leave_image(self, graph: _Graph, source: Json, prefix: str) -> tuple[str, str, bool]:
        return (
            self._preview_or_save(graph, "PreviewImage", "SaveImage", "images", source, prefix),
            "images",
            (self._takes_prefix("PreviewImage")),
        )

    def _leave_latent(self, graph: _Graph, source: Json, prefix: str) -> tuple[str, str, bool]:
        return graph.add("SaveLatent", "save", samples=source, filename_prefix=prefix), "latents", False

    def _leave_audio(self, graph: _Graph, source: Json, prefix: str) -> tuple[str, str, bool]:
        save = "SaveAudio" if graph.has("SaveAudio") else "SaveAudioAdvanced"
        node_id = self._preview_or_save(graph, "PreviewAudio", save, "audio", source, prefix)
        return node_id, "audio", self._takes_prefix("PreviewAudio")

    def _leave_video(self, graph: _Graph, source: Json, prefix: str) -> tuple[str, str, bool]:
        return graph.add("SaveVideo", "save", video=source, filename_prefix=prefix), "images", False

    def _preview_or_save(
        self, graph: _Graph, preview: str, save: str, input_name: str, source: Json, prefix: str
    ) -> str:
        """Write to the temp folder where that can be done under a name of ours, else to the output folder.

        The preview nodes declare no ``filename_prefix``, but their functions take one, and ComfyUI passes on an
        undeclared input of a V1 class if it is linked (``get_input_data`` in execution.py).
        """
        if not self._takes_prefix(preview):
            return graph.add(save, "save", **{input_name: source, "filename_prefix": prefix})
        text = graph.add(self._text_class(), "prefix", value=prefix)
        return graph.add(preview, "preview", **{input_name: source, "filename_prefix": [text, 0]})

    def _takes_prefix(self, preview: str) -> bool:
        info = self._infos.get(preview)
        return info is not None and not info.is_v3 and bool(self._text_class())

    def _text_class(self) -> str:
        return next((c for c in _PREFIX_CLASSES if c in self._infos), "")


async def carriers_for(infos: ObjectInfoCache, definition: Definition, spec: JobSpec) -> PlainCarriers:
    """Return the carriers of the backend whose node classes these are, as far as this job needs them.

    Raises:
        BackendError: a class had to be read and could not be.
    """
    return PlainCarriers(await infos.many(sorted(classes_for(definition, spec))))


def classes_for(definition: Definition, spec: JobSpec) -> set[str]:
    """Return the stock node classes that may carry what a job takes and yields."""
    entering = {value.type for value in spec.values.values()}
    leaving = {output.type for output in definition.outputs if output.name in spec.outputs}
    wanted = {class_type for type_ in entering for class_type in _ENTER_CLASSES.get(type_, ())}
    return wanted | {class_type for type_ in leaving for class_type in _LEAVE_CLASSES.get(type_, ("PreviewAny",))}


class _Graph:
    """Nodes in the making. What a class requires beyond the given inputs is filled with the declared defaults."""

    def __init__(self, infos: Mapping[str, NodeInfo], make_id: MakeId) -> None:
        self.nodes: dict[str, dict[str, Json]] = {}
        self._infos = infos
        self._make_id = make_id

    def has(self, class_type: str) -> bool:
        return class_type in self._infos

    def add(self, class_type: str, hint: str, **given: Json) -> str:
        info = self._infos.get(class_type)
        if info is None:
            raise UnsupportedValue(
                f"The backend has no node class {class_type}, which carries such values.", class_type=class_type
            )
        inputs: dict[str, Json] = dict(given)
        for spec in info.inputs:
            _complete(spec, inputs)
        node_id = self._make_id(hint)
        self.nodes[node_id] = {"class_type": class_type, "inputs": inputs}
        return node_id


def _complete(spec: InputSpec, inputs: dict[str, Json]) -> None:
    """Give a required input that has none its declared default, and the inputs that a dynamic combo then demands."""
    if spec.name not in inputs:
        if not spec.required or spec.is_link_only or any(name.startswith(f"{spec.name}.") for name in inputs):
            return
        inputs[spec.name] = spec.default
    if spec.type != DYNAMIC_COMBO:
        return
    selected = inputs[spec.name]
    for option in spec.options.get("options", ()):
        if isinstance(option, Mapping) and option.get("key") == selected:
            required = (option.get("inputs") or {}).get("required") or {}
            for name, declared in required.items():
                _complete(parse_input(f"{spec.name}.{name}", declared, required=True), inputs)


def _with_agents(type_: str) -> str:
    if type_ in STORED_TYPES:
        return " that lack this pack: install it there, or let the workflow begin before and end after them"
    return ": let the workflow begin before and end after them"


def _no_carrier(type_: str) -> UnsupportedValue:
    return UnsupportedValue(
        f"Values of type {type_} cannot travel between servers{_with_agents(type_)}.",
        type=type_,
    )
