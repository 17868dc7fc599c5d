"""How values travel between a master and a peer with the pack, beside PNG on the same peer and beside a bare route.

Each image has 1024x1024x3 float32. *PNG* is the same job with the carriers of a plain ComfyUI: PreviewImage and /view,
or /upload/image and LoadImage. *Raw* is a route in the peer's process that sends and takes bytes from memory and
checks nothing, read by as many threads into memory that is there already. All three take turns, so that whatever else
the machine does hits them alike. Both sides keep their files in memory where the system has a place for that
(/dev/shm): gigabytes of images in a minute would measure the disk.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks._images import image
from benchmarks._raw_peer import RAW, Wire
from benchmarks._raw_peer import start as start_raw_peer
from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.backend import codecs
from comfy_orchestrator_nodes.backend.blobs import AT_ONCE, PATH
from comfy_orchestrator_nodes.backend.codecs.blobs import encode_blob
from comfy_orchestrator_nodes.domain import (
    LOCAL_BACKEND_ID,
    Backend,
    Definition,
    FileRef,
    Job,
    Output,
    Parameter,
    Value,
)
from comfy_orchestrator_nodes.orchestrator.jobs import Request, raise_failure
from comfy_orchestrator_nodes.service import Service, Settings, open_service
from comfy_orchestrator_nodes.store.sink import ArtifactWriter
from tools.devtools.bench import Result
from tools.devtools.instances import Farm
from tools.devtools.paths import ROOT

IMAGES = 32
SIDE_PX = 1024
IMAGE_BYTES = SIDE_PX * SIDE_PX * 3 * 4
ROUNDS = 2
PASSING = 64
KINDS = ("smooth", "noisy")

_MEMORY = Path("/dev/shm")
_LIMIT_BYTES = 4 << 30
"""Of what the master stores: what was used longest ago goes first, as it would."""

Image = npt.NDArray[np.float32]

NODES = """
import sys, hashlib
sys.path.insert(0, "{root}")
from benchmarks._images import image
import torch

class Make:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_IS_LIST = "benchmark", "run", ("IMAGE", "INT"), (True, False)
    @classmethod
    def INPUT_TYPES(cls):
        whole = ("INT", {{"default": 0, "max": 1 << 40}})
        return {{"required": {{"kind": ("STRING", {{}}), "seed": whole, "count": whole}}}}
    def run(self, kind, seed, count):
        return ([torch.from_numpy(image(kind, seed + n)) for n in range(count)], count)

class Same:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("IMAGE",)
    INPUT_IS_LIST, OUTPUT_IS_LIST = True, (True,)
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"images": ("IMAGE",)}}}}
    def run(self, images):
        return ([image.clone() for image in images],)

class Take:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("INT", "STRING")
    @classmethod
    def INPUT_TYPES(cls):
        images = {{f"i{{n}}": ("IMAGE",) for n in range({images})}}
        return {{"required": {{"hashed": ("BOOLEAN", {{}})}}, "optional": images}}
    def run(self, hashed, **images):
        parts = [hashlib.sha256(t.contiguous().numpy()).hexdigest() for t in images.values()] if hashed else []
        return (len(images), " ".join(parts))

NODE_CLASS_MAPPINGS = {{"BenchMake": Make, "BenchSame": Same, "BenchTake": Take}}
"""


@dataclass(frozen=True)
class Bench:
    """The master's service, the peer it uses, and what both know."""

    service: Service
    url: str
    make: Definition
    chain: Definition
    take: Definition

    async def run(self, definition: Definition, values: Mapping[str, Any], outputs: Sequence[str], **more: Any) -> Job:
        """Run a job to its good end."""
        request = Request(definition.id, values, outputs=tuple(outputs), use_cache=False, **more)
        job = await (await self.service.orchestrator.submit(request)).done
        raise_failure(job)
        return job

    async def forget(self, job: Job) -> None:
        """Delete what a job made, on both sides: gigabytes would pile up."""
        service = self.service
        refs = [ref for value in job.outputs.values() for ref in value.files]
        await asyncio.to_thread(service.artifacts.release, f"result of {job.id}")
        await asyncio.to_thread(service.artifacts.clear)
        (peer,) = [one for one in service.farm if one.backend.id != LOCAL_BACKEND_ID]
        for attempt in await service.attempts.for_job(job.id):
            await peer.client.blobs.release(attempt.id)
        one = Wire(self.url)
        for ref in refs:
            await asyncio.to_thread(one.delete, f"{PATH}/{ref.sha256}", {"X-Orchestrator": "1"})
        one.close()

    async def moved(self, job: Job) -> tuple[int, int]:
        """Return the bytes sent and fetched for a job."""
        attempts = await self.service.attempts.for_job(job.id)
        return sum(a.uploaded_bytes for a in attempts), sum(a.downloaded_bytes for a in attempts)


async def run(farm: Farm) -> Result:
    """Measure everything against one peer."""
    _install(farm)
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        return await _run(farm, Path(folder))


async def _run(farm: Farm, folder: Path) -> Result:
    arguments = ("--temp-directory", str(folder / "peer"))
    peer = await asyncio.to_thread(start_raw_peer, farm, "transport-peer", *arguments)
    async with _bench(peer.url, folder / "master") as bench:
        figures: dict[str, float] = {}
        ratios: dict[str, float] = {}
        for kind in KINDS:
            await _downloads(bench, kind, figures, ratios)
            await _uploads(bench, kind, figures, ratios)
        figures["bytes_between_the_steps_of_a_chain"] = await _chained(bench)
        figures["bytes_for_a_value_sent_again"] = await _sent_again(bench)
        ratios["memory_growth_over_one_value"] = await _growth(bench)
    return Result(figures, ratios)


# --- from the peer


async def _downloads(bench: Bench, kind: str, figures: dict[str, float], ratios: dict[str, float]) -> None:
    times: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        seed = number * 1000
        expected = [_image(kind, seed + n) for n in range(IMAGES)]
        values = {"kind": kind, "seed": seed, "count": IMAGES}
        for name, native in (("png", False), ("agent", True)):
            # Before it is timed, so that the peer has the images in its cache and only moves them.
            await bench.run(bench.make, values, ["count"])
            began = time.perf_counter()
            job = await bench.run(bench.make, values, ["images"], native=native)
            images = await asyncio.to_thread(_decoded, bench.service, job.outputs["images"])
            times.setdefault(name, []).append(time.perf_counter() - began)
            if native and not _equal(images, expected):
                raise RuntimeError("an image came back different")
            await bench.forget(job)
        await _transfer_alone(bench, values, expected, times)
    best = {name: min(taken) for name, taken in times.items()}
    figures |= {f"{kind}_down_{name}_ms_an_image": 1000 * taken / IMAGES for name, taken in best.items()}
    ratios[f"{kind}_down_png_over_agent"] = best["png"] / best["agent"]
    ratios[f"{kind}_down_raw_over_transfer"] = best["raw"] / best["transfer"]


async def _transfer_alone(
    bench: Bench, values: dict[str, Any], expected: list[Image], times: dict[str, list[float]]
) -> None:
    """Time what moves the images alone: they stay on the peer first, as blobs and in the bare route."""
    shifted = {**values, "seed": values["seed"] + 500}
    job = await bench.run(bench.make, shifted, ["images"], native=True, may_stay=("images",))
    began = time.perf_counter()
    here = await bench.service.orchestrator.obtain(job, ["images"])
    await asyncio.to_thread(_decoded, bench.service, here.outputs["images"])
    times.setdefault("transfer", []).append(time.perf_counter() - began)
    await bench.forget(here)
    await asyncio.to_thread(_raw, bench.url, lambda wire, n: wire.put(f"{RAW}/{n}", _bytes(expected[n])))
    into = [np.empty(IMAGE_BYTES, np.uint8) for _ in range(IMAGES)]
    began = time.perf_counter()
    await asyncio.to_thread(_raw, bench.url, lambda wire, n: wire.get(f"{RAW}/{n}", into[n]))
    times.setdefault("raw", []).append(time.perf_counter() - began)


# --- to the peer


async def _uploads(bench: Bench, kind: str, figures: dict[str, float], ratios: dict[str, float]) -> None:
    times: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        images = [_image(kind, 100_000 + number * 1000 + n) for n in range(IMAGES)]
        for name, store in (("png", _as_png), ("agent", _as_blob)):
            began = time.perf_counter()
            stored = await _stored(bench, images, store)
            await bench.run(bench.take, {f"i{n}": value for n, value in enumerate(stored)}, ["count"])
            times.setdefault(name, []).append(time.perf_counter() - began)
        hashed = await bench.run(bench.take, {f"i{n}": v for n, v in enumerate(stored)} | {"hashed": True}, ["hashes"])
        if hashed.outputs["hashes"].data.split() != [_hash(image) for image in images]:
            raise RuntimeError("an image arrived different")
        began = time.perf_counter()
        await asyncio.to_thread(_raw, bench.url, lambda wire, n: wire.put(f"{RAW}/{n}", _bytes(images[n])))  # noqa: B023
        times.setdefault("raw", []).append(time.perf_counter() - began)
        bench.service.artifacts.release("benchmark")
        bench.service.artifacts.clear()
    best = {name: min(taken) for name, taken in times.items()}
    figures |= {f"{kind}_up_{name}_ms_an_image": 1000 * taken / IMAGES for name, taken in best.items()}
    ratios[f"{kind}_up_png_over_agent"] = best["png"] / best["agent"]
    ratios[f"{kind}_up_raw_over_agent"] = best["raw"] / best["agent"]


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
    return lambda media_type: service.artifacts.writer(media_type, owner="benchmark", lease_s=60.0)


# --- what must not move, and what must not grow


async def _chained(bench: Bench) -> float:
    """Return the bytes that move between three jobs of which each takes what the one before made."""
    values: dict[str, Any] = {"kind": "noisy", "seed": 9, "count": 1}
    first = await bench.run(bench.make, values, ["images"], native=True, may_stay=("images",))
    values = {"image": first.outputs["images"]}
    second = await bench.run(bench.chain, values, ["image"], native=True, may_stay=("image",))
    third = await bench.run(bench.chain, {"image": second.outputs["image"]}, ["image"], native=True)
    if not _equal(_decoded(bench.service, third.outputs["image"]), [_image("noisy", 9)]):
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
    with _peak_growth() as grown:
        await bench.service.orchestrator.obtain(job, ["images"])
        await bench.run(bench.take, {f"i{n}": value for n, value in enumerate(stored)}, ["count"])
    return grown[0] / IMAGE_BYTES


@contextmanager
def _peak_growth() -> Iterator[list[float]]:
    process, over = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    found = [0.0]

    def watch() -> None:
        while not over.wait(0.005):
            found[0] = max(found[0], float(process.memory_info().rss - before))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


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


def _decoded(service: Service, value: Value) -> list[Image]:
    if not value.is_blob:
        files = [service.artifacts.open(ref) for ref in value.files]
        try:
            return [codecs.read(files, value.type)]
        finally:
            for file in files:
                file.close()
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda ref: _decoded_one(service, ref), value.files))


def _decoded_one(service: Service, ref: FileRef) -> Image:
    with service.artifacts.open(ref) as file:
        decoded: Image = wire.decode(file)
        return decoded


def _raw(url: str, work: Callable[[Wire, int], None]) -> None:
    """Move every image over the bare route, as many at once as blobs move."""
    wires = [Wire(url) for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        lanes = [threads.submit(_lane, wires[k], range(k, IMAGES, AT_ONCE), work) for k in range(AT_ONCE)]
        for lane in lanes:
            lane.result()
    for one in wires:
        one.close()


def _lane(wire: Wire, numbers: range, work: Callable[[Wire, int], None]) -> None:
    for number in numbers:
        work(wire, number)


def _install(farm: Farm) -> None:
    folder = farm.directory / "transport-peer" / "custom_nodes" / "transport-nodes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(NODES.format(root=ROOT.as_posix(), images=IMAGES), encoding="utf-8")


@asynccontextmanager
async def _bench(url: str, folder: Path) -> AsyncIterator[Bench]:
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    settings = Settings(artifact_limit_bytes=_LIMIT_BYTES)
    async with open_service(folder, nowhere, lambda _: None, clock=time.time, settings=settings) as service:
        state = await service.registry.add(Backend("", "peer", url))
        peer = service.registry.peer(state.backend.id)
        while not peer.has_agent:  # noqa: ASYNC110 - outside what is timed
            await asyncio.sleep(0.02)
        yield Bench(service, url, *[await service.library.create(draft) for draft in _definitions()])


def _definitions() -> tuple[Definition, Definition, Definition]:
    def given(name: str) -> dict[str, Any]:
        return {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": name, "type": "IMAGE"}}

    make = Definition(
        "",
        0,
        "make",
        {"m": {"class_type": "BenchMake", "inputs": {"kind": "noisy", "seed": 0, "count": 1}}},
        tuple(
            Parameter(name, type_, "m", name) for name, type_ in (("kind", "STRING"), ("seed", "INT"), ("count", "INT"))
        ),
        (Output("images", "IMAGE", "m", 0), Output("count", "INT", "m", 1)),
    )
    chain = Definition(
        "",
        0,
        "chain",
        {"i": given("image"), "s": {"class_type": "BenchSame", "inputs": {"images": ["i", 0]}}},
        (Parameter("image", "IMAGE", "i", "value", required=True),),
        (Output("image", "IMAGE", "s", 0),),
    )
    names = [f"i{n}" for n in range(IMAGES)]
    links = {name: [name, 0] for name in names}
    take = Definition(
        "",
        0,
        "take",
        {
            "t": {"class_type": "BenchTake", "inputs": {"hashed": False, **links}},
            **{name: given(name) for name in names},
        },
        (Parameter("hashed", "BOOLEAN", "t", "hashed"), *(Parameter(n, "IMAGE", n, "value") for n in names)),
        (Output("count", "INT", "t", 0), Output("hashes", "STRING", "t", 1)),
    )
    return make, chain, take
