"""Values that are objects of ComfyUI's own classes: as members that travel, and made of them again.

A file keeps its bytes. Classes are known by name, and nothing is ever made of a class that is not listed here, so no
code comes with a value. A class that is missing where a value arrives is told, and so is a member that it lacks.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import MalformedValue, UnsupportedValue

VIDEO, SVG, FILE_3D, MESH, VOXEL = "video", "svg", "file_3d", "mesh", "voxel"

_HOMES = frozenset({"comfy_api", "comfy_extras"})
"""Packages of ComfyUI; what it loads as a node has the path of its file for a module's name."""
_SEPARATORS = re.compile(r"[./\\]+")
_CLASSES = {"VideoInput": VIDEO, "SVG": SVG, "File3D": FILE_3D, "MESH": MESH, "VOXEL": VOXEL}
_FORMAT = re.compile(r"[a-z0-9_]{0,16}")
_NEEDED = {MESH: ("vertices", "faces"), VOXEL: ("data",)}


@dataclass(frozen=True)
class StoredFile:
    """The content of a file, which is read when it is sent."""

    path: Path
    size_bytes: int


@dataclass(frozen=True)
class Parts:
    """An object as what it is made of; where ComfyUI is not there, it stays that."""

    kind: str
    members: Mapping[str, Any]


def kind_of(value: object) -> str | None:
    """Return which of ComfyUI's classes a value is of, or None."""
    for base in type(value).__mro__:
        if base.__name__ in _CLASSES and not _HOMES.isdisjoint(_SEPARATORS.split(base.__module__)):
            return _CLASSES[base.__name__]
    return None


def parts_of(value: Any, kind: str, path: str) -> Parts:
    """Return what an object is made of: tensors, texts, bytes, memory, or files.

    Raises:
        UnsupportedValue: its file is gone, or is no file.
    """
    if isinstance(value, Parts):
        return value
    try:
        return Parts(kind, _TAKERS[kind](value))
    except (OSError, AttributeError, TypeError) as error:
        raise UnsupportedValue(
            f"{path} is a {type(value).__name__} whose content cannot be read: {error}", path=path, python_type=kind
        ) from error


def is_exact(value: Any) -> bool:
    """Whether a value travels as it is: of an object, a video that is made of frames is encoded first."""
    return kind_of(value) != VIDEO or _own_file(value) is not None


def _take_video(video: Any) -> dict[str, Any]:
    source = _own_file(video)
    if source is not None:
        return {"file": source}
    with tempfile.TemporaryDirectory() as folder:
        # To a path, because ComfyUI (0.3.75) finds no format for a buffer.
        path = Path(folder, "video.mp4")
        video.save_to(str(path))
        # Encoded it is a fraction of the frames that are in memory anyway.
        return {"file": path.read_bytes()}


def _own_file(video: Any) -> StoredFile | memoryview | None:
    """Return the file that a video is, or None if it is a part of one or made of frames."""
    own = getattr(type(video), "get_stream_source", None)
    if own is None or own.__qualname__.startswith("VideoInput."):
        return None
    if any(getattr(video, f"_VideoFromFile__{name}", 0) for name in ("start_time", "duration", "crop")):
        return None
    return _file(video.get_stream_source())


def _file(source: Any) -> StoredFile | memoryview | None:
    if isinstance(source, io.BytesIO):
        return source.getbuffer()
    if isinstance(source, (str, Path)):
        path = Path(source)
        return StoredFile(path, path.stat().st_size) if path.is_file() else None
    return None


def _take_svg(svg: Any) -> dict[str, Any]:
    return {"files": [item.getbuffer() for item in svg.data]}


def _take_file_3d(model: Any) -> dict[str, Any]:
    content = model.get_data() if hasattr(model, "get_data") else model.data
    return {"file": content.getbuffer(), "format": str(model.format)}


def _take_tensors(value: Any) -> dict[str, Any]:
    # What a newer ComfyUI adds and nobody has set does not keep an older one from taking it.
    return {name: member for name, member in vars(value).items() if member is not None}


_TAKERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    VIDEO: _take_video,
    SVG: _take_svg,
    FILE_3D: _take_file_3d,
    MESH: _take_tensors,
    VOXEL: _take_tensors,
}


def check(parts: Parts) -> None:
    """Refuse what ``parts_of`` never makes.

    Raises:
        MalformedValue: its kind is not known, or its members are not those of its kind.
    """
    members = parts.members
    if parts.kind not in _TAKERS:
        raise MalformedValue(f"The value is an object of the unknown kind {parts.kind[:40]!r}: update the agent here.")
    if parts.kind in _NEEDED:
        sound = all(name in members for name in _NEEDED[parts.kind])
    elif parts.kind == SVG:
        files = members.get("files")
        sound = members.keys() == {"files"} and isinstance(files, list) and all(type(one) is bytes for one in files)
    else:
        sound = type(members.get("file")) is bytes and members.keys() <= {"file", "format"}
        # It becomes the ending of a file's name where a node saves it.
        sound = sound and (("format" in members) == (parts.kind == FILE_3D)) and _is_format(members.get("format", ""))
    if not sound:
        raise MalformedValue(f"The value's {parts.kind} is not made of what one is made of.")


def _is_format(told: object) -> bool:
    return isinstance(told, str) and bool(_FORMAT.fullmatch(told))


def made_of(parts: Parts) -> Any:
    """Return an object of ComfyUI's class; it holds its content itself, so the blob may go before it.

    Raises:
        UnsupportedValue: this ComfyUI has no such class, or it lacks a member.
    """
    members = parts.members
    try:
        if parts.kind == VIDEO:
            from comfy_api.input_impl import VideoFromFile  # only inside ComfyUI

            return VideoFromFile(io.BytesIO(members["file"]))
        if parts.kind == SVG:
            return _svg_class()([io.BytesIO(one) for one in members["files"]])
        from comfy_api.latest._util import geometry_types  # its public name changed from version to version

        if parts.kind == FILE_3D:
            return geometry_types.File3D(io.BytesIO(members["file"]), members["format"])
        made = getattr(geometry_types, parts.kind.upper())(*(members[name] for name in _NEEDED[parts.kind]))
    except (ImportError, AttributeError, TypeError) as error:
        raise UnsupportedValue(
            f"The value is a {parts.kind}, which this ComfyUI does not know, or not like this: update it ({error}).",
            path="value",
        ) from error
    for name, member in members.items():
        if name not in vars(made):
            raise UnsupportedValue(f"The value's {parts.kind} has {name!r}, which is not known here.", path="value")
        setattr(made, name, member)
    return made


def _svg_class() -> Any:
    try:
        from comfy_api.latest import _util  # where newer ComfyUIs have it
    except ImportError:
        _util = None
    if hasattr(_util, "SVG"):
        return _util.SVG
    from comfy_extras import nodes_images

    return nodes_images.SVG
