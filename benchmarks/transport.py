"""How values travel between a master and a peer with the pack, beside PNG on the same peer and beside a bare route.

Each image has 1024x1024x3 float32. *PNG* is what a client does that knows nothing but ComfyUI: PreviewImage and /view,
or /upload/image and LoadImage, one image after another. *Own PNG* is the same job through our carriers for a plain
ComfyUI, which send eight bits of each number. *Raw* is a route in the peer's process that sends and takes bytes from
memory and checks nothing, read by one thread into new memory. *Least* is that route used by as many threads as blobs
move in, where whoever gets an image hashes it and writes it to a file: what no program can do without that checks and
keeps values. Where the master and the peer share two cores, SHA-256 alone (6 ms an image) keeps it far from raw.

All take turns, so that whatever else the machine does hits them alike. Both sides keep their files in memory where the
system has a place for that (/dev/shm): gigabytes of images in a minute would measure the disk.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks._growth import watched
from benchmarks._image_nodes import IMAGES, decoded
from benchmarks._images import image
from benchmarks._plain_client import PlainClient
from benchmarks._raw_peer import KEEP, RAW, Wire
from benchmarks._transport_peer import OWNER, Bench, open_bench, start
from comfy_orchestrator_nodes.backend import codecs
from comfy_orchestrator_nodes.backend.blobs import AT_ONCE
from comfy_orchestrator_nodes.backend.codecs.blobs import encode_blob
from comfy_orchestrator_nodes.domain import Value
from comfy_orchestrator_nodes.service import Service
from comfy_orchestrator_nodes.store.sink import ArtifactWriter
from tools.devtools.bench import Result
from tools.devtools.instances import Farm

SIDE_PX = 1024
IMAGE_BYTES = SIDE_PX * SIDE_PX * 3 * 4
ROUNDS = 2
PASSING = 64
KINDS = ("smooth", "noisy")

_MEMORY = Path("/dev/shm")
_WARM_BYTES = 3 * IMAGES * IMAGE_BYTES
"""What a direction takes at most: the files of both sides, and the images."""

Image = npt.NDArray[np.float32]


class Times:
    """Seconds by name, the best of all rounds."""

    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time what happens inside, in memory that the system has at hand."""
        _warm_up()
        began = time.perf_counter()
        yield
        self.best[name] = min(self.best.get(name, np.inf), time.perf_counter() - began)

    def ms_an_image(self, prefix: str) -> dict[str, float]:
        """Return the figures in milliseconds."""
        return {f"{prefix}_{name}_ms_an_image": 1000 * seconds / IMAGES for name, seconds in self.best.items()}

    def over(self, floor: str, subject: str) -> float:
        """Return a floor's time as a part of a subject's: 1 is as fast."""
        return self.best[floor] / self.best[subject]


async def run(farm: Farm) -> Result:
    """Measure everything against one peer."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        return await _run(farm, Path(folder))


async def _run(farm: Farm, folder: Path) -> Result:
    peer = await asyncio.to_thread(start, farm, folder / "peer")
    async with open_bench(peer.url, folder / "master") as bench:
        figures: dict[str, float] = {}
        ratios: dict[str, float] = {}
        for kind in KINDS:
            for way, measure in (("down", _downloads), ("up", _uploads)):
                times = await measure(bench, kind, folder)
                prefix = f"{kind}_{way}"
                figures |= times.ms_an_image(prefix)
                for floor in ("png", "own_png"):
                    ratios[f"{prefix}_{floor}_over_agent"] = times.over(floor, "agent")
                for floor in ("raw", "least"):
                    ratios[f"{prefix}_{floor}_over_transfer"] = times.over(floor, "transfer")
        figures["bytes_between_the_steps_of_a_chain"] = await _chained(bench)
        figures["bytes_for_a_value_sent_again"] = await _sent_again(bench)
        ratios["memory_growth_over_one_value"] = await _growth(bench)
    return Result(figures, ratios)


# --- from the peer


async def _downloads(bench: Bench, kind: str, folder: Path) -> Times:
    times = Times()
    for number in range(ROUNDS):
        seed = number * 1000
        expected = [_image(kind, seed + n) for n in range(IMAGES)]
        values = {"kind": kind, "seed": seed, "count": IMAGES}
        # Before it is timed, so that the peer has the images in its cache and only moves them.
        await bench.run(bench.make, values, ["count"])
        with times.timed("png"):
            await asyncio.to_thread(_plainly, bench.url, lambda client: client.fetch(_node("BenchMake", values)))  # noqa: B023
        for name, native in (("own_png", False), ("agent", True)):
            with times.timed(name):
                job = await bench.run(bench.make, values, ["images"], native=native)
                images = await asyncio.to_thread(decoded, bench.service, job.outputs["images"])
            if native and not _equal(images, expected):
                raise RuntimeError("an image came back different")
            await bench.forget(job)
        await _fetches(bench, values, expected, times, folder)
    return times


async def _fetches(bench: Bench, values: dict[str, Any], expected: list[Image], times: Times, folder: Path) -> None:
    """Time what moves the images alone: they lie on the peer already, as blobs and in the bare route."""
    shifted = {**values, "seed": values["seed"] + 500}
    job = await bench.run(bench.make, shifted, ["images"], native=True, may_stay=("images",))
    with times.timed("transfer"):
        here = await bench.service.orchestrator.obtain(job, ["images"], owner=OWNER)
    await bench.forget(here)
    await asyncio.to_thread(_in_turns, bench.url, lambda wire, n: wire.put(f"{RAW}/{n}", _bytes(expected[n])), AT_ONCE)
    with times.timed("raw"):
        await asyncio.to_thread(_in_turns, bench.url, _fetch_raw, 1)
    with times.timed("least"):
        await asyncio.to_thread(_in_turns, bench.url, lambda wire, n: _fetch_kept(wire, n, folder), AT_ONCE)


def _fetch_raw(wire: Wire, number: int) -> None:
    wire.get(f"{RAW}/{number}", np.empty(IMAGE_BYTES, np.uint8))


def _fetch_kept(wire: Wire, number: int, folder: Path) -> None:
    digest, path = hashlib.sha256(), folder / f"least-{number}"
    with path.open("wb", buffering=0) as file:
        for part in wire.parts(f"{RAW}/{number}"):
            digest.update(part)
            file.write(part)
    digest.hexdigest()
    path.unlink()


# --- to the peer


async def _uploads(bench: Bench, kind: str, _folder: Path) -> Times:
    times = Times()
    for number in range(ROUNDS):
        images = [_image(kind, 100_000 + number * 1000 + n) for n in range(IMAGES)]
        with times.timed("png"):
            take = _node("BenchTake", {"hashed": False})
            await asyncio.to_thread(_plainly, bench.url, lambda client: client.send(images, take))  # noqa: B023
        for name, store in (("own_png", _as_png), ("agent", _as_blob)):
            with times.timed(name):
                stored = await _stored(bench, images, store)
                await bench.run(bench.take, {f"i{n}": value for n, value in enumerate(stored)}, ["count"])
        hashed = await bench.run(bench.take, {f"i{n}": v for n, v in enumerate(stored)} | {"hashed": True}, ["hashes"])
        if hashed.outputs["hashes"].data.split() != [_hash(image) for image in images]:
            raise RuntimeError("an image arrived different")
        await _sends(bench, kind, number, times)
        bench.service.artifacts.release(OWNER)
        bench.service.artifacts.clear()
    return times


async def _sends(bench: Bench, kind: str, number: int, times: Times) -> None:
    """Time what moves other images alone: they are stored here already, and nothing takes them there."""
    images = [_image(kind, 200_000 + number * 1000 + n) for n in range(IMAGES)]
    refs = [value.files[0] for value in await _stored(bench, images, _as_blob)]
    with times.timed("transfer"):
        await bench.send(refs)
    with times.timed("raw"):
        await asyncio.to_thread(_in_turns, bench.url, lambda wire, n: wire.put(f"{RAW}/{n}", _bytes(images[n])), 1)
    with times.timed("least"):
        await asyncio.to_thread(
            _in_turns, bench.url, lambda wire, n: wire.put(f"{RAW}/{n}{KEEP}", _bytes(images[n])), AT_ONCE
        )


async def _stored(bench: Bench, images: list[Image], store: Callable[[Service, Image], Value]) -> list[Value]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(image: Image) -> Value:
        async with gate:
            return await asyncio.to_thread(store, bench.service, image)

    return list(await asyncio.gather(*(one(image) for image in images)))


def _as_blob(service: Service, image: Image) -> Value:
    with encode_blob(image, "IMAGE", _sinks(service), arrays_are_tensors=True) as sink:
        return Value("IMAGE", files=(sink.publish(),))


def _as_png(service: Service, image: Image) -> Value:
    return Value("IMAGE", files=tuple(sink.publish() for sink in codecs.encode(image, "IMAGE", _sinks(service))))


def _sinks(service: Service) -> Callable[[str], ArtifactWriter]:
    return lambda media_type: service.artifacts.writer(media_type, owner=OWNER, lease_s=60.0)


# --- what must not move, and what must not grow


async def _chained(bench: Bench) -> float:
    """Return the bytes that move between three jobs of which each takes what the one before made."""
    values: dict[str, Any] = {"kind": "noisy", "seed": 9, "count": 1}
    first = await bench.run(bench.make, values, ["images"], native=True, may_stay=("images",))
    values = {"image": first.outputs["images"]}
    second = await bench.run(bench.chain, values, ["image"], native=True, may_stay=("image",))
    third = await bench.run(bench.chain, {"image": second.outputs["image"]}, ["image"], native=True)
    if not _equal(decoded(bench.service, third.outputs["image"]), [_image("noisy", 9)]):
        raise RuntimeError("an image came out of a chain different")
    between = [*await bench.moved(first), *await bench.moved(second), (await bench.moved(third))[0]]
    return float(sum(between))


async def _sent_again(bench: Bench) -> float:
    """Return the bytes that move for a value that the peer got with an earlier job."""
    value = await asyncio.to_thread(_as_blob, bench.service, _image("noisy", 77))
    await bench.run(bench.take, {"i0": value}, ["count"])
    again = await bench.run(bench.take, {"i0": value, "hashed": True}, ["count"])
    return float(sum(await bench.moved(again)))


async def _growth(bench: Bench) -> float:
    """Return by how many values this process grows while many pass through it, first from the peer and then to it."""
    values = {"kind": "noisy", "seed": 500_000, "count": PASSING}
    job = await bench.run(bench.make, values, ["images"], native=True, may_stay=("images",))
    stored = [_as_blob(bench.service, _image("noisy", 600_000 + n)) for n in range(IMAGES)]
    gc.collect()
    with watched([psutil.Process()]) as grown:
        await bench.service.orchestrator.obtain(job, ["images"], owner=OWNER)
        await bench.run(bench.take, {f"i{n}": value for n, value in enumerate(stored)}, ["count"])
    return grown[0] / IMAGE_BYTES


# --- helpers


def _image(kind: str, seed: int) -> Image:
    return image(kind, seed, SIDE_PX)


def _bytes(image: Image) -> memoryview:
    return image.data.cast("B")


def _hash(image: Image) -> str:
    return hashlib.sha256(_bytes(image)).hexdigest()


def _equal(images: Sequence[Image], expected: Sequence[Image]) -> bool:
    pairs = zip(images, expected, strict=True)
    return all(np.array_equal(came.view(np.uint32), wanted.view(np.uint32)) for came, wanted in pairs)


def _plainly(url: str, work: Callable[[PlainClient], object]) -> None:
    client = PlainClient(url)
    try:
        work(client)
    finally:
        client.close()


def _node(class_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _warm_up() -> None:
    """See that the system has memory at hand: a virtual machine gives freed memory back, and gets it anew slowly."""
    np.empty(_WARM_BYTES, np.uint8)[::4096] = 0


def _in_turns(url: str, work: Callable[[Wire, int], None], at_once: int) -> None:
    """Move every image over the bare route, so many at once, each on a connection of its own."""
    wires = [Wire(url) for _ in range(at_once)]
    with ThreadPoolExecutor(at_once) as threads:
        lanes = [threads.submit(_lane, wires[k], range(k, IMAGES, at_once), work) for k in range(at_once)]
        for lane in lanes:
            lane.result()
    for one in wires:
        one.close()


def _lane(wire: Wire, numbers: range, work: Callable[[Wire, int], None]) -> None:
    for number in numbers:
        work(wire, number)
