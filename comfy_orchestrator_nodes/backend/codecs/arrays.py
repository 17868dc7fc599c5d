"""Between tensors and arrays, without importing torch before there is a tensor to make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import UnsupportedValue

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FloatArray: TypeAlias = npt.NDArray[np.float32]
ByteArray: TypeAlias = npt.NDArray[np.uint8]


class Sink(Protocol):
    """A file to write to, from beginning to end."""

    def write(self, data: ReadableBuffer, /) -> int | None:
        """Append all of ``data``."""
        ...


SinkT = TypeVar("SinkT", bound=Sink)


def as_array(value: Any, what: str) -> npt.NDArray[Any]:
    """Return a tensor's content as an array, shared where it is on the CPU already; bfloat16 becomes float32.

    Raises:
        UnsupportedValue: it is neither a dense tensor nor an array of numbers.
    """
    if getattr(value, "is_nested", False) or hasattr(value, "tensors"):
        raise UnsupportedValue(
            f"{what} is made of several tensors of different shapes, which no file format here holds."
        )
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise UnsupportedValue(f"{what} holds {array.dtype} where numbers were expected.")
    return array


def as_torch(value: Any) -> Any:
    """Return ``value`` with tensors in the place of its arrays; they share their memory."""
    if isinstance(value, np.ndarray):
        import torch

        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {key: as_torch(item) for key, item in value.items()}
    return value
