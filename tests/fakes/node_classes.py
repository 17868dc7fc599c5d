"""The node classes that the fake backend knows: what ``/object_info`` says of them, and what they do.

The entries are those of ComfyUI's own classes of these names, reduced to what validation and this project read; the
contract suite compares them with a real server.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """What an output node shows: files to store (``key`` to name prefix, place and contents), or values."""

    files: Mapping[str, tuple[str, str, Sequence[bytes]]] = field(default_factory=dict)
    values: Mapping[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeClass:
    """``run`` gets the inputs by name and the stored files, and returns the outputs, or what is shown."""

    info: Mapping[str, Any]
    run: Callable[[Values, Mapping[str, bytes]], Sequence[Any] | Shown]
    check: Callable[[Values, Mapping[str, bytes]], str | None] = lambda _values, _files: None
    """As VALIDATE_INPUTS: what is wrong with the inputs, or None."""
    unchecked: frozenset[str] = frozenset()
    """Inputs that VALIDATE_INPUTS names, so that ComfyUI does not check them itself."""


class NodeRaised(Exception):
    """A node's exception, as a backend reports it."""

    def __init__(self, exception_type: str, message: str) -> None:
        super().__init__(message)
        self.exception_type = exception_type
        self.message = message


def png(width: int, height: int, rgb: int) -> bytes:
    """Return a PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + rgb.to_bytes(3, "big") * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * height, 1))
        + chunk(b"IEND", b"")
    )


def info(
    name: str,
    required: Mapping[str, Any],
    *,
    optional: Mapping[str, Any] | None = None,
    output: Sequence[str] = (),
    output_node: bool = False,
) -> dict[str, Any]:
    """Return an entry of ``/object_info``."""
    sections = {"required": dict(required)} | ({"optional": dict(optional)} if optional else {})
    return {
        "input": sections,
        "input_order": {section: list(inputs) for section, inputs in sections.items()},
        "output": list(output),
        "output_is_list": [False] * len(output),
        "output_name": list(output),
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": "image",
        "output_node": output_node,
    }


def _empty_image(values: Values, _files: Mapping[str, bytes]) -> Sequence[Any]:
    return [[png(values["width"], values["height"], values["color"])] * values["batch_size"]]


def _stored(name: str, files: Mapping[str, bytes]) -> bytes | None:
    return files.get(name, files.get(f"{name} [input]"))


def _load_image(values: Values, files: Mapping[str, bytes]) -> Sequence[Any]:
    stored = _stored(values["image"], files)
    if stored is None or not stored.startswith(b"\x89PNG"):
        raise NodeRaised("PIL.UnidentifiedImageError", f"cannot identify image file {values['image']!r}")
    return [[stored], None]


def _check_image(values: Values, files: Mapping[str, bytes]) -> str | None:
    name = values["image"]
    return None if _stored(name, files) is not None else f"Invalid image file: {name}"


def _unchanged(values: Values, _files: Mapping[str, bytes]) -> Sequence[Any]:
    return [values["image"]]


def _shown_images(place: str) -> Callable[[Values, Mapping[str, bytes]], Shown]:
    def show(values: Values, _files: Mapping[str, bytes]) -> Shown:
        prefix = values.get("filename_prefix") or "ComfyUI"
        return Shown(files={"images": (f"{prefix}_temp_fake" if place == "temp" else prefix, place, values["images"])})

    return show


def _preview_any(values: Values, _files: Mapping[str, bytes]) -> Shown:
    source = values["source"]
    return Shown(values={"text": [source if isinstance(source, str) else str(source)]})


_INT = {"default": 512, "min": 1, "max": 16384, "step": 1}

NODE_CLASSES: Mapping[str, NodeClass] = {
    "EmptyImage": NodeClass(
        info(
            "EmptyImage",
            {
                "width": ["INT", _INT],
                "height": ["INT", _INT],
                "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
                "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1, "display": "color"}],
            },
            output=["IMAGE"],
        ),
        _empty_image,
    ),
    "LoadImage": NodeClass(
        info("LoadImage", {"image": [["example.png"], {"image_upload": True}]}, output=["IMAGE", "MASK"]),
        _load_image,
        _check_image,
        frozenset({"image"}),
    ),
    "ImageScale": NodeClass(
        info(
            "ImageScale",
            {
                "image": ["IMAGE"],
                "upscale_method": [["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]],
                "width": ["INT", {"default": 512, "min": 0, "max": 16384, "step": 1}],
                "height": ["INT", {"default": 512, "min": 0, "max": 16384, "step": 1}],
                "crop": [["disabled", "center"]],
            },
            output=["IMAGE"],
        ),
        _unchanged,
    ),
    "PreviewImage": NodeClass(
        info("PreviewImage", {"images": ["IMAGE"]}, output_node=True),
        _shown_images("temp"),
    ),
    "SaveImage": NodeClass(
        info(
            "SaveImage",
            {"images": ["IMAGE", {"tooltip": ""}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
            output_node=True,
        ),
        _shown_images("output"),
    ),
    "PreviewAny": NodeClass(info("PreviewAny", {"source": ["*", {}]}, output_node=True), _preview_any),
    "PrimitiveString": NodeClass(
        info("PrimitiveString", {"value": ["STRING", {"multiline": False}]}, output=["STRING"]),
        lambda values, _files: [values["value"]],
    ),
    "PrimitiveInt": NodeClass(
        info(
            "PrimitiveInt",
            {"value": ["INT", {"min": -(2**63) + 1, "max": 2**63 - 1, "control_after_generate": True}]},
            output=["INT"],
        ),
        lambda values, _files: [values["value"]],
    ),
}
