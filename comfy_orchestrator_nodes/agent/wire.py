"""The one codec: a value of a ComfyUI link as bytes and back, without a difference and without running any code.

``docs/agent-protocol.md`` describes the format. Equal values make equal bytes, so that a value is known by its hash. A
value is encoded as buffers that share the tensors' memory, and decoded from a file straight into the memory where it
stays; nothing is joined, nothing is held twice.
"""

from __future__ import annotations

from .container import FORMAT, VERSION
from .decoding import NUMPY, TORCH, Apart, Native, ValueInfo, decode, decode_item, inspect, peek
from .dtypes import RawTensor
from .encoding import EIGHT_BIT_TYPES, Encoded, encode
from .errors import MalformedValue, UnsupportedValue, WireError
from .objects import VIDEO, Parts
from .packing import NAME as PACKING
from .packing import Unpacker, Zstd, find_zstd, pack
from .skeleton import Nested

MEDIA_TYPE = "application/x-comfyui-value"
"""Under which encoded values are kept and sent, to tell them from files."""

__all__ = [
    "EIGHT_BIT_TYPES",
    "FORMAT",
    "MEDIA_TYPE",
    "NUMPY",
    "PACKING",
    "TORCH",
    "VERSION",
    "VIDEO",
    "Apart",
    "Encoded",
    "MalformedValue",
    "Native",
    "Nested",
    "Parts",
    "RawTensor",
    "Unpacker",
    "UnsupportedValue",
    "ValueInfo",
    "WireError",
    "Zstd",
    "decode",
    "decode_item",
    "encode",
    "find_zstd",
    "inspect",
    "pack",
    "peek",
]
