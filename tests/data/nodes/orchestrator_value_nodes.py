"""Nodes for tests of how values travel, put into the custom_nodes folder of real servers."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


class AnyType(str):
    """Fits every type."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


ANY = AnyType("*")


def made(kind: str, seed: int, size: int) -> Any:
    """Return the same value for the same arguments on every server."""
    random = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=random)

    if kind == "IMAGE":
        return noise(2, size, size, 3)
    if kind == "IMAGE of 8 bits":
        return (noise(2, size, size, 3) * 255).round().to(torch.uint8).to(torch.float32) / 255.0
    if kind == "IMAGE with alpha":
        return noise(1, size, size, 4)
    if kind == "IMAGE out of range":
        return noise(1, size, size, 3) * 8 - 4
    if kind == "smooth IMAGE":
        line = torch.linspace(0, 1, size)
        return (line[None, :, None, None] * line[None, None, :, None]).expand(1, size, size, 3) * 0.9
    if kind == "MASK":
        return noise(3, size, size)
    if kind == "LATENT":
        samples = noise(2, 4, size // 8, size // 8).to(torch.bfloat16)
        return {"samples": samples, "noise_mask": noise(2, 1, size, size), "batch_index": [3, 7]}
    if kind == "AUDIO":
        return {"waveform": noise(2, 2, size * 10) * 2 - 1, "sample_rate": 44100}
    if kind == "CONDITIONING":
        shared = noise(1, 77, 64).to(torch.float16)
        more = {"pooled_output": noise(1, 64), "strength": 0.5, "area": (8, 8, 0, 0), "again": shared}
        return [[shared, more], [noise(1, 77, 64), {"pooled_output": None}]]
    if kind == "SIGMAS":
        return noise(size).sort(descending=True).values
    if kind == "VIDEO":
        from comfy_api.input_impl import VideoFromFile

        # Whoever carries it has no business in it.
        noisy = (noise(size * 1000) * 255).to(torch.uint8).numpy().tobytes()
        return VideoFromFile(io.BytesIO(b"\0\0\0\x18ftypisom" + noisy))
    if kind == "SVG":
        from comfy_extras.nodes_images import SVG

        return SVG([io.BytesIO(f"<svg><text>{n} {seed}</text></svg>".encode()) for n in range(3)])
    if kind == "MESH":
        from comfy_api.latest._util import MESH

        return MESH(noise(1, size, 3), (noise(1, size, 3) * size).to(torch.int64))
    if kind == "VOXEL":
        from comfy_api.latest._util import VOXEL

        return VOXEL(noise(1, size, size, size))
    raise ValueError(kind)


KINDS = (
    *("IMAGE", "IMAGE of 8 bits", "IMAGE with alpha", "IMAGE out of range", "smooth IMAGE", "MASK", "LATENT", "AUDIO"),
    *("CONDITIONING", "SIGMAS", "VIDEO", "SVG", "MESH", "VOXEL"),
)


def digest(value: Any) -> str:
    """Return what tells any two values apart, whatever their difference."""
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        found.update(f"{value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, io.BytesIO):
        found.update(value.getvalue())
    elif hasattr(value, "get_stream_source"):
        source = value.get_stream_source()
        _feed(found, io.BytesIO(Path(source).read_bytes()) if isinstance(source, str) else source)
    elif type(value).__name__ in ("SVG", "MESH", "VOXEL"):
        found.update(type(value).__name__.encode())
        _feed(found, vars(value))
    elif isinstance(value, Mapping):
        for key in value:
            found.update(f"key {key!r} ".encode())
            _feed(found, value[key])
    elif isinstance(value, (list, tuple)):
        found.update(f"{type(value).__name__} of {len(value)} ".encode())
        for item in value:
            _feed(found, item)
    else:
        found.update(repr(value).encode())


class Make:
    """Makes a value of a seed."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = (ANY,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {
            "required": {
                "kind": (list(KINDS),),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**32}),
                "size": ("INT", {"default": 64, "min": 8, "max": 8192}),
            }
        }

    def run(self, kind: str, seed: int, size: int) -> tuple[Any]:
        return (made(kind, seed, size),)


class Digest:
    """Tells values apart in the history, and passes the digest of the first on."""

    CATEGORY = "test"
    FUNCTION = "run"
    INPUT_IS_LIST = True
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"value": (ANY,)}}

    def run(self, value: list[Any]) -> dict[str, Any]:
        digests = [digest(one) for one in value]
        return {"ui": {"digests": digests}, "result": (digests[0],)}


class Brighten:
    """Adds a little to every number of an image: what comes out has more than 8 bits."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",), "by": ("FLOAT", {"default": 0.001, "step": 0.0001})}}

    def run(self, image: Any, by: float) -> tuple[Any]:
        return (image + by,)


NODE_CLASS_MAPPINGS = {
    "OrchestratorTestMake": Make,
    "OrchestratorTestDigest": Digest,
    "OrchestratorTestBrighten": Brighten,
}
