"""The element types of tensors: how they are called, how they are stored, what numpy and torch call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UnsupportedValue

RawArray = npt.NDArray[Any]


@dataclass(frozen=True)
class DType:
    """One element type.

    Only types that safetensors has had from its first versions are stored, so that any reader opens the container;
    ``name`` differs from ``stored`` for the others, and the skeleton tells it.
    """

    name: str
    torch: str
    """torch's attribute of that name."""
    itemsize: int
    numpy: str | None
    """numpy's type, or None where it has none: then the elements travel as ``bits``."""
    stored: str
    pairs: bool = False
    """A complex number, stored as two real ones along one more axis."""

    @property
    def bits(self) -> np.dtype[Any]:
        """The numpy type that holds the elements without interpreting them."""
        return np.dtype(self.numpy or _BITS[self.itemsize])


_BITS = {1: "u1", 2: "<u2", 4: "<u4", 8: "<u8"}

DTYPES: tuple[DType, ...] = (
    DType("BOOL", "bool", 1, "?", "BOOL"),
    DType("U8", "uint8", 1, "u1", "U8"),
    DType("I8", "int8", 1, "i1", "I8"),
    DType("U16", "uint16", 2, "<u2", "U16"),
    DType("I16", "int16", 2, "<i2", "I16"),
    DType("U32", "uint32", 4, "<u4", "U32"),
    DType("I32", "int32", 4, "<i4", "I32"),
    DType("U64", "uint64", 8, "<u8", "U64"),
    DType("I64", "int64", 8, "<i8", "I64"),
    DType("F16", "float16", 2, "<f2", "F16"),
    DType("BF16", "bfloat16", 2, None, "BF16"),
    DType("F32", "float32", 4, "<f4", "F32"),
    DType("F64", "float64", 8, "<f8", "F64"),
    DType("F8_E4M3", "float8_e4m3fn", 1, None, "F8_E4M3"),
    DType("F8_E5M2", "float8_e5m2", 1, None, "F8_E5M2"),
    DType("F8_E4M3FNUZ", "float8_e4m3fnuz", 1, None, "U8"),
    DType("F8_E5M2FNUZ", "float8_e5m2fnuz", 1, None, "U8"),
    DType("F8_E8M0", "float8_e8m0fnu", 1, None, "U8"),
    DType("C32", "complex32", 4, None, "F16", pairs=True),
    DType("C64", "complex64", 8, "<c8", "F32", pairs=True),
    DType("C128", "complex128", 16, "<c16", "F64", pairs=True),
)

BY_NAME = {dtype.name: dtype for dtype in DTYPES}
STORED = {dtype.stored: BY_NAME[dtype.stored] for dtype in DTYPES}
_BY_TORCH = {dtype.torch: dtype for dtype in DTYPES}
_BY_NUMPY = {np.dtype(dtype.numpy): dtype for dtype in DTYPES if dtype.numpy}


@dataclass(frozen=True)
class RawTensor:
    """A tensor of a type that numpy does not have: its bits, and what they mean.

    What ``decode`` returns for bfloat16 and the 8-bit floats where torch is not there; ``encode`` takes it back.
    """

    dtype: DType
    bits: RawArray


def is_tensor(value: Any) -> bool:
    """Whether a value is torch's own tensor. Its subclasses mean something that its numbers alone do not tell."""
    return f"{type(value).__module__}.{type(value).__qualname__}" in ("torch.Tensor", "torch.nn.parameter.Parameter")


def check_dense(tensor: Any, path: str) -> DType:
    """Return the type of a torch tensor that has all its elements in memory.

    Raises:
        UnsupportedValue: it is sparse, quantized, without memory, or of a type that is not known here.
    """
    name = str(tensor.dtype).removeprefix("torch.")
    dtype = _BY_TORCH.get(name)
    if dtype is None or tensor.is_quantized:
        raise UnsupportedValue(f"{path} is a tensor of {name}, which has no form here.", path=path, python_type=name)
    if str(tensor.layout) != "torch.strided" or tensor.device.type == "meta":
        layout = str(tensor.layout).removeprefix("torch.")
        raise UnsupportedValue(
            f"{path} is a {layout} tensor on {tensor.device}: only dense tensors with content can travel.",
            path=path,
            python_type=layout,
        )
    return dtype


def tensor_bits(tensor: Any, dtype: DType) -> RawArray:
    """Return the elements of a dense torch tensor, sharing its memory where that is the CPU's."""
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu()
    if dtype.numpy is None:
        import torch  # only there when a tensor is

        # The same size, so any strides stay as they are.
        tensor = tensor.view({1: torch.uint8, 2: torch.int16, 4: torch.int32}[dtype.itemsize])
    bits: RawArray = tensor.numpy()
    return bits.view(dtype.bits) if dtype.numpy is None else bits


def array_dtype(array: RawArray, path: str) -> DType:
    """Return the type of a numpy array.

    Raises:
        UnsupportedValue: it holds objects, texts, dates or long floats.
    """
    dtype = _BY_NUMPY.get(array.dtype.newbyteorder("<"))
    if dtype is None:
        raise UnsupportedValue(
            f"{path} is an array of {array.dtype}, which has no form here.", path=path, python_type=str(array.dtype)
        )
    return dtype


def as_numpy(dtype: DType, content: RawArray, shape: tuple[int, ...]) -> RawArray | RawTensor:
    """Return an array (or a ``RawTensor``) of flat bytes; it shares their memory."""
    array = content.view(dtype.bits).reshape(shape)
    return array if dtype.numpy is not None else RawTensor(dtype, array)


def as_torch(dtype: DType, content: RawArray, shape: tuple[int, ...]) -> Any:
    """Return a torch tensor of flat bytes; it shares their memory where that may be written to.

    Raises:
        UnsupportedValue: this torch does not have the type.
    """
    import torch  # only inside ComfyUI

    known = getattr(torch, dtype.torch, None)
    if known is None:
        raise UnsupportedValue(
            f"The value holds {dtype.torch}, which torch {torch.__version__} does not have: update ComfyUI here.",
            path="value",
            python_type=dtype.torch,
        )
    if not content.size:
        return torch.empty(shape, dtype=known)
    return torch.from_numpy(content if content.flags.writeable else content.copy()).view(known).reshape(shape)
