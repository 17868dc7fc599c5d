"""Run by ComfyUI's own interpreter: torch tensors of every type and layout through the codec, bit for bit.

Usage: python wire_in_comfyui.py COMFYUI_SOURCE PROJECT_ROOT
"""

from __future__ import annotations

import io
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

source, project = sys.argv[1:]
sys.path[:0] = [source, project]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from comfy.nested_tensor import NestedTensor  # noqa: E402

from comfy_orchestrator_nodes.agent import wire  # noqa: E402
from comfy_orchestrator_nodes.agent.dtypes import DTYPES, DType  # noqa: E402

SHAPES = ((), (0, 3), (5,), (3, 4, 2))


def through(value: Any, type_: str = "ANY") -> Iterator[Any]:
    data = bytearray().join(wire.encode(value, type_).parts())
    yield wire.decode(io.BytesIO(bytes(data)), wire.TORCH)
    yield wire.decode(memoryview(data), wire.TORCH)
    yield wire.decode(memoryview(bytes(data)), wire.TORCH)


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return bytes(plain.view(torch.uint8).numpy()) if plain.numel() else b""


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert bits(one) == bits(other), one
    else:
        assert type(one) is type(other)
        assert one == other


def made(dtype: DType, shape: tuple[int, ...]) -> torch.Tensor:
    torch_type = getattr(torch, dtype.torch)
    count = math.prod(shape)
    content = torch.randint(0, 2 if dtype.name == "BOOL" else 256, (count * dtype.itemsize,), dtype=torch.uint8)
    return (content.view(torch_type) if count else torch.empty(0, dtype=torch_type)).reshape(shape)


def layouts(tensor: torch.Tensor) -> list[torch.Tensor]:
    if tensor.ndim < 3:
        return [tensor]
    return [tensor, tensor.transpose(0, 2), tensor[:, 1:3], tensor[::2], tensor[:1].expand(4, 4, 2)]


def every_type_and_layout() -> None:
    for dtype in DTYPES:
        if not hasattr(torch, dtype.torch):
            continue
        for shape in SHAPES:
            for tensor in layouts(made(dtype, shape)):
                for came in through(tensor):
                    assert_same(tensor, came)
                for came in through({"twice": [tensor, tensor]}):
                    assert came["twice"][0] is came["twice"][1]


def what_torch_only_notes_down() -> None:
    conjugated = torch.randn(4, dtype=torch.complex64).conj()
    for tensor in (conjugated, conjugated.imag, torch.nn.Parameter(torch.randn(3)), torch.randn(3, requires_grad=True)):
        for came in through(tensor):
            assert_same(tensor.detach(), came)
            assert not came.requires_grad
    with torch.inference_mode():
        inferred = torch.randn(3)
    for came in [*through(inferred)]:
        assert_same(inferred, came)
    came += 1  # an ordinary tensor, that may be written to


def images_of_eight_bits() -> None:
    image = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8) / np.float32(255)
    )
    assert wire.encode(image, "IMAGE").size_bytes < image.numel() + 1000
    for tensor in (image, image.flip(1), image[:, :, ::2], image.movedim(-1, 1)):
        for came in through(tensor, "IMAGE"):
            assert_same(tensor, came)


def nested_tensors() -> None:
    nested = NestedTensor([torch.randn(1, 4, 8), torch.randn(1, 2)])
    for came in through({"samples": nested}):
        assert type(came["samples"]) is NestedTensor
        for one, other in zip(nested.tensors, came["samples"].tensors, strict=True):
            assert_same(one, other)


def what_cannot_travel() -> None:
    refused: dict[str, Callable[[], Any]] = {
        "sparse": lambda: torch.eye(3).to_sparse(),
        "meta": lambda: torch.empty(3, device="meta"),
        "quantized": lambda: torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8),
        "subclass": lambda: torch.randn(3).as_subclass(type("Mine", (torch.Tensor,), {})),
        "module": lambda: torch.nn.Linear(1, 1),
    }
    for name, make in refused.items():
        assert "value[0]" in refusal(make()), name


def refusal(value: Any) -> str:
    try:
        wire.encode([value], "ANY")
    except wire.UnsupportedValue as error:
        return str(error)
    return "none"


warnings.simplefilter("ignore")  # torch's own, about complex32 and quantized types
every_type_and_layout()
what_torch_only_notes_down()
images_of_eight_bits()
nested_tensors()
what_cannot_travel()
sys.stdout.write("all equal\n")
