"""Values become bytes and come back without a difference; bytes from strangers are refused in words."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.agent.dtypes import BY_NAME, DTYPES

NUMPY_TYPES = [dtype.numpy for dtype in DTYPES if dtype.numpy]


def written(value: Any, type_: str = "ANY") -> bytes:
    encoded = wire.encode(value, type_)
    data = b"".join(encoded.parts())
    assert len(data) == encoded.size_bytes
    return data


def returned(value: Any, type_: str = "ANY") -> Any:
    data = written(value, type_)
    from_file = wire.decode(io.BytesIO(data))
    from_buffer = wire.decode(memoryview(bytearray(data)))
    assert same(from_file, from_buffer)
    return from_file


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in types, order and every bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.shape == other.shape) and one.tobytes() == other.tobytes()
    if isinstance(one, wire.RawTensor):
        return bool(one.dtype == other.dtype) and same(one.bits, other.bits)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return bool(one == other)


def arrays() -> st.SearchStrategy[npt.NDArray[Any]]:
    def fill(dtype: str, shape: tuple[int, ...], seed: int) -> npt.NDArray[Any]:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        content = np.random.default_rng(seed).integers(0, 2 if dtype == "?" else 256, size, dtype=np.uint8)
        return content.view(dtype).reshape(shape)

    shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
    return st.builds(fill, st.sampled_from(NUMPY_TYPES), shapes, st.integers(0, 1000))


KEYS = st.text(max_size=5) | st.integers() | st.booleans() | st.none() | st.tuples(st.integers(), st.text(max_size=3))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.just(math.nan)
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.binary(max_size=20)
    | arrays()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(KEYS | st.just("$"), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_any_value_comes_back_without_a_difference(value: Any) -> None:
    assert same(returned(value), value)


@settings(deadline=None)
@given(VALUES)
def test_equal_values_make_equal_bytes(value: Any) -> None:
    assert written(value) == written(wire.decode(io.BytesIO(written(value))))


def test_what_json_lacks_comes_back() -> None:
    value = [
        10**400,
        -(10**400),
        -0.0,
        math.inf,
        -math.inf,
        "half \ud800",
        "x" * 100_000,
        {1: 2, "$": 3, (1, 2): 4},
        (),
    ]
    assert same(returned(value), value)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.numpy is None], ids=lambda d: d.name)
def test_types_that_numpy_lacks_keep_their_bits(dtype: Any) -> None:
    bits = np.arange(24, dtype=np.uint8).view(dtype.bits).reshape(2, 3, -1)
    tensor = wire.RawTensor(dtype, bits)
    if dtype.pairs:
        # Torch's complex32 is the only pair that numpy lacks; without torch it stays one number of 32 bits.
        assert written(tensor)
    assert same(returned(tensor), tensor)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)])
def test_strange_shapes_come_back(shape: tuple[int, ...]) -> None:
    array = np.ones(shape, np.float32)
    assert same(returned(array), array)


def test_arrays_that_do_not_lie_in_one_piece_come_back_in_order() -> None:
    base = np.arange(2 * 3000 * 1000, dtype=np.float32).reshape(2, 3000, 1000)
    for array in (base.transpose(2, 1, 0), base[:, ::2], base[::-1], np.broadcast_to(base[:1], (3, 3000, 1000))):
        assert same(returned(array), np.ascontiguousarray(array))


def test_a_tensor_met_twice_is_stored_once_and_is_one_again() -> None:
    array = np.zeros((100, 100), np.float32)
    assert wire.encode([array, {"again": array}], "ANY").size_bytes < array.nbytes + 1000
    one, other = returned([array, {"again": array}])
    assert one is other["again"]


def test_content_begins_where_every_element_is_aligned() -> None:
    value = [np.ones(3, np.uint8), np.ones(3, np.float64), np.ones(5, np.float16)]
    decoded = wire.decode(memoryview(bytearray(written(value))))
    assert all(array.flags.aligned for array in decoded)


def test_arrays_stand_for_tensors_where_asked() -> None:
    array = np.ones((2, 2), np.float32)
    as_tensor = wire.encode(array, "MASK", arrays_are_tensors=True)
    assert b'\\"$\\":\\"tensor\\"' in b"".join(as_tensor.parts())
    assert b'\\"$\\":\\"array\\"' in written(array)


def test_any_reader_of_safetensors_opens_it() -> None:
    from safetensors.numpy import load

    loaded = load(written({"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.complex64(1 + 2j)}))
    assert sorted(array.shape for array in loaded.values()) == [(2,), (2, 3)]


# --- images of eight bits --------------------------------------------------------------------------------------------


def eight_bit(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    """Return what ComfyUI's loaders make."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8).astype(np.float32) / 255.0


@pytest.mark.parametrize("type_", sorted(wire.EIGHT_BIT_TYPES))
def test_an_image_that_is_exactly_8_bit_takes_a_quarter_and_comes_back_exact(type_: str) -> None:
    every_byte = (np.arange(256, dtype=np.uint8).astype(np.float32) / 255.0).reshape(1, 16, 16)
    for image in (every_byte, eight_bit((2, 300, 500, 3)), eight_bit((4, 8, 8, 4))[:, ::2].transpose(0, 2, 1, 3)):
        encoded = wire.encode(image, type_)
        assert encoded.size_bytes < image.size + 1000
        assert same(returned(image, type_), np.ascontiguousarray(image))


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, -0.0, 1.5, -0.25, 1e30, 0.5, math.nextafter(1.0, 0.0)])
@pytest.mark.parametrize("place", [0, 149_999, 77_777])
def test_one_number_that_is_not_8_bit_keeps_the_image_as_it_is(odd: float, place: int) -> None:
    image = eight_bit((1, 250, 200, 3))
    image.reshape(-1)[place] = np.float32(odd)
    if np.float32(odd) == 1.0:
        image.reshape(-1)[place] = np.nextafter(np.float32(1), np.float32(0))
    assert wire.encode(image, "IMAGE").size_bytes > image.nbytes
    assert same(returned(image, "IMAGE"), image)


def test_other_types_keep_their_floats() -> None:
    assert wire.encode(eight_bit((64, 64)), "LATENT").size_bytes > 64 * 64 * 4


# --- what cannot travel ----------------------------------------------------------------------------------------------


class Model:
    pass


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("odd", [Model(), {1, 2}, object, Text("a"), np.array(["a"]), np.array([None]), len])
def test_what_cannot_travel_is_named_with_its_place(odd: Any) -> None:
    with pytest.raises(wire.UnsupportedValue, match=r"value\[1\]\['model'\]"):
        wire.encode([0, {"model": odd}], "CONDITIONING")


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(wire.UnsupportedValue, match="contains itself"):
        wire.encode(value, "ANY")


# --- bytes from strangers --------------------------------------------------------------------------------------------


def container(header: Any, content: bytes = b"", skeleton: Any = None) -> bytes:
    if isinstance(header, dict):
        told = {"format": wire.FORMAT, "version": "1", "type": "ANY", "skeleton": json.dumps(skeleton)}
        header = {"__metadata__": told, **header}
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def tensor(dtype: Any = "U8", shape: Any = (4,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


REF = {"$": "tensor", "t": 0}
COMPLEX = {**REF, "dtype": "C32"}
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a few bytes": b"abc",
    "a header longer than the file": struct.pack("<Q", 100) + b"{}",
    "a huge header": struct.pack("<Q", 1 << 62) + b"{}",
    "no JSON": container(b"{nonsense"),
    "no UTF-8": container(b"\xff\xfe"),
    "a list": container([1]),
    "deep nesting": container(b"[" * 200_000),
    "deep nesting of the structure": container(
        {"__metadata__": {"format": wire.FORMAT, "version": "1", "type": "A", "skeleton": "[" * 200_000}}
    ),
    "deep structure": container({}, skeleton=json.loads("[" * 150 + "]" * 150)),
    "metadata that is no text": container({"__metadata__": {"format": 1}}),
    "another format": container({"__metadata__": {"format": "pt"}}),
    "a newer version": container({"__metadata__": {"format": wire.FORMAT, "version": "2"}}),
    "no structure": container({"__metadata__": {"format": wire.FORMAT, "version": "1", "type": "A"}}),
    "NaN in the structure": container(
        {"__metadata__": {"format": wire.FORMAT, "version": "1", "type": "A", "skeleton": "NaN"}}
    ),
    "a name twice": container(b'{"a": 1, "a": 2}'),
    "an unknown dtype": container({"0": tensor("F4")}, bytes(4), REF),
    "a dtype that is none": container({"0": tensor(["U8"])}, bytes(4), REF),
    "a shape that does not fit": container({"0": tensor(shape=(5,))}, bytes(4), REF),
    "a negative side": container({"0": tensor(shape=(-2, -2))}, bytes(4), REF),
    "a side that is true": container({"0": tensor(shape=(True, 4))}, bytes(4), REF),
    "a huge empty shape": container({"0": tensor(shape=(0, 1 << 62, 1 << 62), offsets=(0, 0))}, b"", REF),
    "too many axes": container({"0": tensor(shape=[1] * 40 + [4])}, bytes(4), REF),
    "content beyond the end": container({"0": tensor(shape=(1 << 40,), offsets=(0, 1 << 40))}, bytes(4), REF),
    "content behind the tensors": container({"0": tensor()}, bytes(5), REF),
    "a gap": container({"0": tensor(offsets=(4, 8))}, bytes(8), REF),
    "an overlap": container({"0": tensor(), "1": tensor(offsets=(2, 6))}, bytes(6), [REF, {"$": "tensor", "t": 1}]),
    "a tensor that nothing uses": container({"0": tensor()}, bytes(4), None),
    "a tensor that is not there": container({}, b"", REF),
    "a reference that is none": container({"0": tensor()}, bytes(4), {"$": "tensor", "t": {}}),
    "truth values that are none": container({"0": tensor("BOOL")}, b"\0\1\2\3", REF),
    "complex numbers without a partner": container(
        {"0": tensor("F16", (4, 1), (0, 8))}, bytes(8), {**REF, "dtype": "C32"}
    ),
    "a type stored as another": container({"0": tensor("F32", (1,))}, bytes(4), {**REF, "dtype": "F64"}),
    "bytes that are not floats": container({"0": tensor("F32", (1,))}, bytes(4), {**REF, "as": "u8/255"}),
    "bytes that are other floats": container(
        {"0": tensor()}, bytes(4), {**REF, "as": "u8/255", "dtype": "F8_E4M3FNUZ"}
    ),
    "an unknown way to store": container({"0": tensor()}, bytes(4), {**REF, "as": "gif"}),
    "an unknown kind": container({}, skeleton={"$": "pickle", "of": []}),
    "a kind that is none": container({}, skeleton={"$": []}),
    "a tuple without items": container({}, skeleton={"$": "tuple"}),
    "a dictionary without pairs": container({}, skeleton={"$": "dict", "of": [[1]]}),
    "a key that is a list": container({}, skeleton={"$": "dict", "of": [[[], 1]]}),
    "a number that is none": container({}, skeleton={"$": "float", "is": "1.0"}),
    "a whole number that is none": container({}, skeleton={"$": "int", "hex": "zz"}),
    "a text that is no UTF-8": container({"0": tensor()}, b"\xff" * 4, {"$": "text", "t": 0}),
    "a numpy number that is an array": container({"0": tensor()}, bytes(4), {**REF, "$": "scalar"}),
    "an array of what numpy lacks": container({"0": tensor("BF16", (2,))}, bytes(4), {**REF, "$": "array"}),
    "nested tensors that are none": container({}, skeleton={"$": "nested", "of": [1]}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_bytes_that_are_no_value_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(wire.MalformedValue, match=r"\w+ \w+ \w+"):
        wire.decode(io.BytesIO(data))
    with pytest.raises(wire.MalformedValue):
        wire.decode(memoryview(data))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_value_is_refused_or_read_but_never_breaks(data: st.DataObject) -> None:
    good = bytearray(written({"a": np.arange(6, dtype=np.float32), "b": [1, 2.5, "x", (True, None)]}))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(good[: data.draw(st.integers(0, len(good)))]) if data.draw(st.booleans()) else bytes(good)
    with contextlib.suppress(wire.WireError):
        wire.decode(io.BytesIO(damaged))


def test_what_a_value_is_can_be_told_from_its_header() -> None:
    data = written(eight_bit((1, 4, 4, 3)), "IMAGE")
    info = wire.inspect(io.BytesIO(data))
    assert (info.type, info.version, info.size_bytes, info.tensors) == ("IMAGE", 1, len(data), (("U8", (1, 4, 4, 3)),))


def test_the_hash_is_that_of_the_bytes() -> None:
    value = {"a": np.arange(1000).reshape(10, 100).T}
    assert wire.encode(value, "ANY").sha256() == hashlib.sha256(written(value)).hexdigest()


def test_every_type_is_stored_as_one_that_safetensors_always_had() -> None:
    assert {d.stored for d in DTYPES} <= set(BY_NAME)
