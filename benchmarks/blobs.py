"""What the agent's blob routes add to a bare route of the same process that sends and takes bytes.

32 MB noise images are not the point here, only bytes: each blob is as large as one image of 1024x1024x3 float32. A blob
lies on the disk, is hashed when it arrives and is named by its hash; the bare route holds bytes in memory and checks
nothing. Both are read in a thread into memory that is there already, in turns.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks._raw_peer import RAW, Wire, start
from tools.devtools.bench import Result
from tools.devtools.instances import Farm

BLOB_BYTES = 1024 * 1024 * 3 * 4
COUNT = 8
ROUNDS = 6
BLOBS = "/orchestrator/agent/blobs"
OURS = {"X-Orchestrator": "1", "X-Orchestrator-Lease": "benchmark; seconds=0"}


async def run(farm: Farm) -> Result:
    """Measure both directions."""
    peer = await asyncio.to_thread(start, farm, "blob-peer")
    return await asyncio.to_thread(measure, peer.url)


def measure(url: str) -> Result:
    """Measure with one connection that blocks."""
    generator = np.random.default_rng(0)
    blobs = [generator.integers(0, 256, BLOB_BYTES, dtype=np.uint8) for _ in range(COUNT)]
    names = [hashlib.sha256(blob.data).hexdigest() for blob in blobs]
    into = np.empty(BLOB_BYTES, np.uint8)
    into[:] = 0
    wire = Wire(url)
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for number, (blob, name) in enumerate(zip(blobs, names, strict=True)):
            _timed(times, "raw_put", lambda: wire.put(f"{RAW}/{number}", blob.data))  # noqa: B023 - called at once
            wire.delete(f"{BLOBS}/{name}", OURS)
            _timed(times, "blob_put", lambda: wire.put(f"{BLOBS}/{name}", blob.data, OURS))  # noqa: B023
            _timed(times, "raw_get", lambda: wire.get(f"{RAW}/{number}", into))  # noqa: B023
            _timed(times, "blob_get", lambda: wire.get(f"{BLOBS}/{name}", into))  # noqa: B023
            if not np.array_equal(into, blob):
                raise ValueError("a blob came back different")
    wire.close()
    medians = {name: statistics.median(taken[COUNT:]) for name, taken in times.items()}
    figures = {f"{name}_ms": 1000 * median for name, median in medians.items()}
    ratios = {f"raw_over_blob_{way}": medians[f"raw_{way}"] / medians[f"blob_{way}"] for way in ("get", "put")}
    return Result(figures, ratios)


def _timed(times: dict[str, list[float]], name: str, work: Callable[[], None]) -> None:
    began = time.perf_counter()
    work()
    times.setdefault(name, []).append(time.perf_counter() - began)
