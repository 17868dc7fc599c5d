"""No file makes the reader hang, crash, or take more than 200 MB."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import InvalidDocument
from comfy_orchestrator_nodes.workflow import document, safejson

ROOT = Path(__file__).resolve().parents[3]
MEDIA = ROOT / "tests" / "golden" / "media"
MEGABYTE = 2**20

CHILD = """
import resource, sys, time
sys.path.insert(0, sys.argv[1])
from comfy_orchestrator_nodes.errors import InvalidDocument
from comfy_orchestrator_nodes.workflow import document

with open(sys.argv[2], "rb") as file:
    try:
        document.read(file)
        print("read")
    except InvalidDocument as error:
        print("refused", str(error)[:300])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0] if sys.platform == "linux" else 0)
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    image = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + image + chunk(b"IEND", b"")


def webp(exif: bytes) -> bytes:
    body = b"WEBP" + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", len(body)) + body


def workflow(**fields: object) -> bytes:
    return json.dumps({"version": 0.4, "nodes": [], "links": [], **fields}).encode()


def laughs() -> bytes:
    levels = [{"id": "0", "nodes": [{"id": n, "type": "EmptyImage"} for n in range(10)]}]
    levels += [{"id": str(k), "nodes": [{"id": n, "type": str(k - 1)} for n in range(10)]} for k in range(1, 60)]
    return workflow(nodes=[{"id": 1, "type": "59"}], definitions={"subgraphs": levels})


def circle() -> bytes:
    names = [str(k) for k in range(5000)]
    definitions = [{"id": k, "nodes": [{"id": 1, "type": names[(int(k) + 1) % 5000]}]} for k in names]
    return workflow(nodes=[{"id": 1, "type": "0"}], definitions={"subgraphs": definitions})


def long_chain_of_definitions() -> bytes:
    definitions = [{"id": str(k), "nodes": [{"id": 1, "type": str(k + 1)}]} for k in range(15000)]
    return workflow(nodes=[{"id": 1, "type": "0"}], definitions={"subgraphs": definitions})


def nested_definitions() -> bytes:
    inner: dict[str, object] = {"id": "x", "nodes": []}
    for level in range(200):
        inner = {"id": str(level), "nodes": [], "definitions": {"subgraphs": [inner]}}
    return workflow(definitions={"subgraphs": [inner]})


def bomb(size: int) -> bytes:
    inflater = zlib.compressobj(9)
    return b"".join([*(inflater.compress(b" " * MEGABYTE) for _ in range(size)), inflater.flush()])


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "lists nested without end": lambda: b"[" * 5_000_000,
    "objects nested without end": lambda: b'{"a":' * 2_000_000,
    "lists nested deeper than any workflow": lambda: workflow(extra=json.loads("[" * 80 + "]" * 80)),
    "a number of a million digits": lambda: b'{"nodes":[' + b"9" * MEGABYTE + b"]}",
    "a number beyond a double": lambda: b'{"nodes":[], "a": 1e999}',
    "NaN": lambda: b'{"nodes":[], "a": NaN}',
    "half of a character": lambda: b'{"nodes":[], "a": "\\ud800"}',
    "bytes that are no text": lambda: b'{"nodes":[], "a": "\xff\xfe"}',
    "a text larger than any workflow": lambda: b'{"nodes":[], "a": "' + b"a" * (13 * MEGABYTE) + b'"}',
    "a million small objects": lambda: b'{"nodes":[' + b'{"a":1},' * 1_400_000 + b"0]}",
    "five million empty lists": lambda: b'{"nodes":[' + b"[]," * 4_000_000 + b"0]}",
    "as many lists as are parsed": lambda: b'{"nodes":[' + b"[]," * 500_000 + b"0]}",
    "as many texts as are parsed": lambda: b'{"nodes":[' + b'"abc",' * 900_000 + b"0]}",
    "as many keys as are parsed": lambda: b"{" + b",".join(b'"k%d":%d.5' % (n, n) for n in range(340_000)) + b"}",
    "half a million distinct keys": lambda: b"{" + b",".join(b'"k%d":%d.5' % (n, n) for n in range(600_000)) + b"}",
    "wide characters": lambda: ('{"nodes":["' + "😀" * (3 * MEGABYTE - 100) + '"]}').encode(),
    "subgraphs in a circle": circle,
    "subgraphs that unfold to 10^60 nodes": laughs,
    "definitions nested without end": nested_definitions,
    "a PNG that is cut off": lambda: (MEDIA / "save_image.png").read_bytes()[:200],
    "a PNG chunk longer than the file": lambda: png()[:33] + struct.pack(">I", 2**31) + b"tEXt" + b"workflow\0{}",
    "a PNG text that unpacks to much more": lambda: png(chunk(b"zTXt", b"workflow\0\0" + bomb(64))),
    "an international PNG text that unpacks to much more": lambda: png(
        chunk(b"iTXt", b"workflow\0\1\0\0\0" + bomb(64))
    ),
    "a PNG text with damaged compression": lambda: png(chunk(b"zTXt", b"workflow\0\0" + b"nonsense")),
    "a PNG of endless chunks": lambda: png(*[chunk(b"tEXt", b"")] * 200_000)[:-12],
    "a PNG of two texts at the limit": lambda: png(
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b'{"nodes":[' + b"[[1.5]]," * 310_000 + b"0]}")),
        chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"[" + b"[[1.5]]," * 310_000 + b"0]")),
    ),
    "a WebP whose EXIF points outside": lambda: webp(b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\xff\x7f\x1a\0\0\0"),
    "a WebP whose EXIF is cut off": lambda: webp(b"MM\0*\0\0\0\x08\xff\xff"),
    "a WebP chunk longer than the file": lambda: webp(b"")[:-4] + b"\xff\xff\xff\x7f",
    "a FLAC that is cut off": lambda: (MEDIA / "audio.flac").read_bytes()[:60],
    "an ID3 tag longer than the file": lambda: b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + b"TXXX",
    "an MP4 box within itself": lambda: b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08moov" + b"\xff\xff\xff\xffmeta",
    "an MP4 of endless boxes": lambda: b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free" * 400_000,
    "a WebM part without a size": lambda: b"\x1a\x45\xdf\xa3\xff" + b"\0" * 100,
    "an Ogg of endless pages": lambda: (b"OggS" + b"\0" * 22 + b"\xff" + b"\xff" * 255 + b"\0" * 65025) * 250,
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_file_is_refused_within_bounds(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(HOSTILE[name]())

    finished = subprocess.run(
        [sys.executable, "-c", CHILD, str(ROOT), str(path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 0, finished.stderr[-2000:]
    verdict, kilobytes = finished.stdout.strip().rsplit("\n", 1)
    assert verdict.startswith("refused"), verdict
    assert int(kilobytes) < 200 * 1024


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(path.name for path in MEDIA.iterdir())))
def test_damaged_file_is_read_or_refused_and_nothing_else(data: st.DataObject, name: str) -> None:
    whole = bytearray((MEDIA / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))

    try:
        found = document.read(bytes(whole[:end]))
    except InvalidDocument:
        return
    assert found.workflow is not None or found.prompt is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused_and_nothing_else(value: object) -> None:
    try:
        document.read(json.dumps(value).encode())
    except InvalidDocument:
        return


def test_long_chain_of_definitions_is_counted_in_time() -> None:
    counts = document.read(long_chain_of_definitions()).counts

    assert counts is not None
    assert counts.unfolded_nodes == 15001


def test_text_at_the_limit_is_read_and_one_byte_more_is_not() -> None:
    head, tail = b'{"nodes":[],"a":"', b'"}'
    room = safejson.MAX_TEXT_BYTES - len(head) - len(tail)

    assert document.read(head + b"a" * room + tail).kind == "workflow"
    with pytest.raises(InvalidDocument, match="the most that is read"):
        document.read(head + b"a" * (room + 1) + tail)
