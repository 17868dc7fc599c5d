"""What storing a job's life costs: four guarded transactions with their events, against bare sqlite3.

The floor writes the same rows with hand-written statements on a thread of its own, one trip for each transaction; both
take turns, job by job. The other figures are taken from the 2,000 jobs that this leaves behind, multiplied to 20,000,
and from files of one 1024 x 1024 float32 image.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from comfy_orchestrator_nodes.domain import (
    Attempt,
    AttemptStatus,
    FileRef,
    Job,
    JobSpec,
    JobStatus,
    Run,
    RunStatus,
    Value,
)
from comfy_orchestrator_nodes.orchestrator.history import BATCH
from comfy_orchestrator_nodes.store import codec
from comfy_orchestrator_nodes.store.artifacts import ArtifactStore
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.history import HistoryRepository
from comfy_orchestrator_nodes.store.jobs import JobChange, JobFilter, JobRepository
from comfy_orchestrator_nodes.store.runs import RunRepository
from comfy_orchestrator_nodes.store.schema import SCHEMA_FILE
from tools.devtools.bench import Result
from tools.devtools.instances import Farm

JOBS = 2000
IMAGE_BYTES = 1024 * 1024 * 3 * 4
IMAGES = 20
MARKS = ", ".join("?" * 15)


async def run(farm: Farm) -> Result:
    """Measure; no server is needed."""
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(Path(folder) / "store.sqlite3")
        try:
            lives, floors = await measure_lives(JobRepository(database), Path(folder) / "floor.sqlite3")
            await multiply(database)
            lists = await measure_lists(database)
            lists |= await measure_pruning(database)
        finally:
            await database.close()
        images, image_floors = await asyncio.to_thread(measure_images, Path(folder))
    life, floor = statistics.median(lives), statistics.median(floors)
    image, image_floor = statistics.median(images), statistics.median(image_floors)
    return Result(
        figures={
            "life_ms": life * 1e3,
            "life_p95_ms": statistics.quantiles(lives, n=20)[-1] * 1e3,
            "life_floor_ms": floor * 1e3,
            **lists,
            "image_ms": image * 1e3,
            "image_floor_ms": image_floor * 1e3,
        },
        ratios={"life": life / floor, "image": image / image_floor},
    )


def a_job(number: int) -> Job:
    """Return a job as a node makes it: a scalar, an image, one output."""
    values = {"seed": Value("INT", number), "image": Value("IMAGE", files=(FileRef("a" * 64, 4, "image/png"),))}
    spec = JobSpec("bench", 1, "b" * 64, values, ("image",))
    return Job(f"job-{number}", "run", spec.key(), spec, JobStatus.QUEUED, time.time())


async def measure_lives(jobs: JobRepository, floor_path: Path) -> tuple[list[float], list[float]]:
    """Return the seconds of each job's life, stored by the repository and by the floor."""
    lives, floors = [], []
    with ThreadPoolExecutor(1) as thread:
        loop = asyncio.get_running_loop()
        floor = await loop.run_in_executor(thread, open_floor, floor_path)
        for number in range(JOBS):
            job = a_job(number)
            lives.append(await timed(partial(store_life, jobs, job)))
            spec = codec.dump(job.spec)
            started = time.perf_counter()
            for step in range(4):
                await loop.run_in_executor(thread, floor_step, floor, job.id, spec, step)
            floors.append(time.perf_counter() - started)
        await loop.run_in_executor(thread, floor.close)
    return lives, floors


async def timed(once: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that one call takes."""
    started = time.perf_counter()
    await once()
    return time.perf_counter() - started


async def store_life(jobs: JobRepository, job: Job) -> None:
    """Create a job, dispatch it, let it run and succeed: four transactions."""
    now = job.created_at
    attempt = Attempt(f"{job.id}/1", job.id, 1, "attic", f"prompt of {job.id}", AttemptStatus.SUBMITTING)
    running = replace(attempt, status=AttemptStatus.RUNNING, started_at=now)
    ended = replace(running, status=AttemptStatus.SUCCEEDED, ended_at=now)
    outputs = {"image": Value("IMAGE", files=(FileRef("c" * 64, 4, "image/png"),))}
    queued, dispatched, busy = JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING
    await jobs.create(job, run=Run("run", RunStatus.RUNNING, now))
    for change in (
        JobChange(job.id, queued, dispatched, now, (attempt,), (("placed", attempt.id, {"backend": "attic"}),)),
        JobChange(job.id, dispatched, busy, now, (running,), (("started", attempt.id, {}),)),
        JobChange(job.id, busy, JobStatus.SUCCEEDED, now, (ended,), (("succeeded", attempt.id, {}),), outputs),
    ):
        await jobs.apply(change)


def open_floor(path: Path) -> sqlite3.Connection:
    """Open a database of the same schema with the same settings."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(SCHEMA_FILE.read_text("utf-8"))
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("INSERT INTO run (id, status, title, created_at) VALUES ('run', 'running', '', 0)")
    return connection


def floor_step(connection: sqlite3.Connection, name: str, spec: str, step: int) -> None:
    """Store one of the four steps with as few statements as it takes."""
    statuses = ("queued", "dispatched", "running", "succeeded")
    connection.execute("BEGIN IMMEDIATE")
    if step == 0:
        connection.execute(
            "INSERT INTO job (id, run_id, key, definition_id, status, spec, item_index, outputs, created_at) "
            "VALUES (?, 'run', ?, 'bench', 'queued', ?, 0, '{}', 0)",
            (name, "b" * 64, spec),
        )
    else:
        connection.execute(
            "UPDATE job SET status = ? WHERE id = ? AND status = ?", (statuses[step], name, statuses[step - 1])
        )
    if step == 1:
        row = (f"{name}/1", name, 1, "attic", name, "submitting", 1, None, 0.0, None, None, 0, 0, None, None)
        connection.execute(f"INSERT INTO attempt VALUES ({MARKS})", row)
    if step > 1:
        connection.execute("UPDATE attempt SET status = ? WHERE id = ?", (statuses[step], f"{name}/1"))
    connection.execute(
        "INSERT INTO event (job_id, sequence, at, kind, details) VALUES (?, ?, 0, 'step', '{}')", (name, step + 1)
    )
    connection.execute("COMMIT")


async def multiply(database: Database) -> None:
    """Make ten jobs of each, with their attempts and events, in runs of a hundred, one in fifty failed."""

    def work(connection: sqlite3.Connection) -> None:
        times = "WITH RECURSIVE times (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM times WHERE i < 9) "
        connection.execute(
            "WITH RECURSIVE runs (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM runs WHERE i < 199) "
            "INSERT INTO run (id, status, title, created_at, ended_at) "
            "SELECT 'run-' || i, 'succeeded', '', i, i FROM runs"
        )
        connection.execute(
            f"{times} INSERT INTO job (id, run_id, key, definition_id, status, spec, item_index, outputs, created_at, "
            "ended_at, failure) SELECT id || '-' || i, 'run-' || ((number * 10 + i) / 100 % 200), key, definition_id, "
            "iif(number % 50, status, 'failed'), spec, item_index, outputs, created_at, number * 10 + i, "
            'iif(number % 50, NULL, \'{"cause":"stalled","message":"It hung."}\') FROM job, times'
        )
        connection.execute(
            f"{times} INSERT INTO attempt SELECT job_id || '-' || i || '/' || number, job_id || '-' || i, number, "
            "'cellar', prompt_id || '/' || i, status, charged, failure, created_at, started_at, ended_at, "
            "uploaded_bytes, downloaded_bytes, peak_vram_bytes, energy_j FROM attempt, times"
        )
        connection.execute(
            f"{times} INSERT INTO event (job_id, sequence, at, kind, attempt_id, details) "
            "SELECT job_id || '-' || i, sequence, at, kind, attempt_id, details FROM event, times"
        )

    await database.write(work)


async def measure_pruning(database: Database) -> dict[str, float]:
    """Return the milliseconds that one transaction takes that deletes old jobs: no write waits for longer."""
    history = HistoryRepository(database)
    before = await history.threshold(before=0.0, keep=1000)
    times = [await timed(lambda: history.prune(before, limit=BATCH)) for _ in range(20)]
    return {"prune_of_200_ms": statistics.median(times) * 1e3}


async def measure_lists(database: Database) -> dict[str, float]:
    """Return the milliseconds that reading takes."""
    jobs, runs = JobRepository(database), RunRepository(database)
    page = await jobs.list(limit=100)
    for _ in range(100):
        page = await jobs.list(limit=100, before=page.next)
    names = [run.id for run in await runs.list(limit=100)]
    reads: dict[str, Callable[[], Awaitable[object]]] = {
        "one_job_ms": lambda: jobs.get("job-5"),
        "page_of_100_ms": lambda: jobs.list(limit=100),
        "page_after_10_000_jobs_ms": lambda: jobs.list(limit=100, before=page.next),
        "page_of_failed_ms": lambda: jobs.list(JobFilter((JobStatus.FAILED,)), limit=100),
        "page_of_a_backend_ms": lambda: jobs.list(JobFilter(backend_id="cellar"), limit=100),
        "page_of_a_definition_ms": lambda: jobs.list(JobFilter(definition_id="bench"), limit=100),
        "page_of_a_run_ms": lambda: jobs.list(JobFilter(run_id="run-7"), limit=100),
        "page_of_a_search_ms": lambda: jobs.list(JobFilter(search="hung"), limit=100),
        "totals_of_100_runs_ms": lambda: runs.totals(names, now=0.0),
        "counts_ms": jobs.counts,
        "search_without_a_hit_ms": lambda: jobs.list(JobFilter(search="nowhere")),
        "unfinished_ms": jobs.unfinished,
    }
    return {name: statistics.median([await timed(read) for _ in range(20)]) * 1e3 for name, read in reads.items()}


def measure_images(folder: Path) -> tuple[list[float], list[float]]:
    """Return the seconds to store an image's bytes, and to hash and write them by hand."""
    store = ArtifactStore(folder / "artifacts")
    stored, floors = [], []
    for number in range(IMAGES):
        content = os.urandom(IMAGE_BYTES)
        started = time.perf_counter()
        store.put(content, "application/octet-stream")
        stored.append(time.perf_counter() - started)
        started = time.perf_counter()
        hashlib.sha256(content).hexdigest()
        (folder / f"floor-{number}").write_bytes(content)
        floors.append(time.perf_counter() - started)
    return stored, floors
