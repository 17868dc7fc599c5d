"""``run``: one definition, once, with its results fetched; Ctrl-C cancels it."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from . import results, values
from .console import Console
from .failures import CommandFailed, Exit, bad_input
from .farm import definition_of
from .master import Master, Unanswered, part

Json = Any

POLL_S = 0.5
"""How long the master holds each request about the job: also how often the progress moves."""

PATIENCE_S = 60.0
"""How long a master that went away is waited for: jobs outlive its restart."""

_RETRY_S = 1.0
_FAREWELL_S = 10.0
"""How long Ctrl-C waits for the master to take the cancelling."""

_FINAL = frozenset({"succeeded", "failed", "cancelled"})
_FAREWELLS = {"cancelled": "Job {} is cancelled.", "cancelling": "Job {} is being cancelled."}


async def run(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """Run a definition."""
    definition = await definition_of(master, arguments.definition, arguments.version)
    body = await _body(arguments, definition, master)
    if not arguments.detach:
        results.prepare(Path(arguments.out))
    job = await _submit(master, body, console)
    if arguments.detach:
        console.document(job)
        console.text(str(job["id"]))
        return Exit.OK
    try:
        job = await _follow(master, job, console)
        saved = await results.save(master, job["outputs"], Path(arguments.out))
    except (asyncio.CancelledError, KeyboardInterrupt):
        # Before Python 3.11 the interrupt itself may strike in here.
        await _cancel(master, job["id"], console)
        raise
    return _report(job, saved, console)


async def _body(arguments: argparse.Namespace, definition: dict[str, Json], master: Master) -> dict[str, Json]:
    parameters = definition["parameters"]
    constants = values.constants(parameters, values.assignments("--set", arguments.set))
    texts = values.texts(parameters, values.assignments("--set-file", arguments.set_file))
    files = values.chosen_files(parameters, values.assignments("--image", arguments.image))
    twice = sorted(constants.keys() & texts.keys())
    if twice:
        raise bad_input(f"{', '.join(map(repr, twice))} is set twice.")
    body: dict[str, Json] = {
        "definition": definition["id"],
        "version": definition["version"],
        "values": {**constants, **texts, **await values.uploaded(master, files)},
        "outputs": arguments.output,
        "backend": arguments.backend,
        "attempts": arguments.attempts,
        "cache": False if arguments.no_cache else None,
    }
    return body if arguments.time_limit is None else {**body, "time_limit_s": arguments.time_limit}


async def _submit(master: Master, body: dict[str, Json], console: Console) -> dict[str, Json]:
    """Submit the job. Interrupted meanwhile, it is cancelled as soon as its id is known."""
    submitting = asyncio.ensure_future(master.post("/jobs", body))
    try:
        return await asyncio.shield(submitting)
    except (asyncio.CancelledError, KeyboardInterrupt):
        done, _ = await asyncio.wait({submitting}, timeout=_FAREWELL_S)
        if done and submitting.exception() is None:
            await _cancel(master, submitting.result()["id"], console)
        raise


async def _follow(master: Master, job: dict[str, Json], console: Console) -> dict[str, Json]:
    """Show how far the job is until it has ended, and return it."""
    loop = asyncio.get_running_loop()
    seen_at = loop.time()
    while job["status"] not in _FINAL:
        console.progress(*_progress(job))
        try:
            job = await master.get(f"/jobs/{part(job['id'])}", {"wait_s": f"{POLL_S:g}"})
            seen_at = loop.time()
        except Unanswered as error:
            if loop.time() - seen_at > PATIENCE_S:
                raise CommandFailed(
                    f"{error} The job may go on there: 'jobs {job['id']}' tells.",
                    Exit.UNREACHABLE,
                    code=Unanswered.code,
                    job=job["id"],
                ) from None
            console.progress(None, "The master does not answer; waiting for it to come back")
            await asyncio.sleep(_RETRY_S)
    console.clear()
    return job


def _progress(job: dict[str, Json]) -> tuple[float | None, str]:
    progress = job["progress"]
    attempts = job["attempts"]
    if job["status"] == "waiting":
        return None, f"waiting for a person's decision (job {job['id']})"
    where = f" on {attempts[-1]['backend']}" if attempts and job["status"] != "queued" else ""
    doing = f", {progress['class_type']}" if progress and progress["class_type"] else ""
    return (progress["done_ratio"] if progress else None), f"{job['status']}{where}{doing}"


async def _cancel(master: Master, job_id: str, console: Console) -> None:
    """Cancel the job, and say whether that worked: nobody waits for it any more."""
    try:
        job = await asyncio.wait_for(master.post(f"/jobs/{part(job_id)}/cancel"), _FAREWELL_S)
    except (CommandFailed, asyncio.TimeoutError) as error:
        reason = str(error) or "the master does not answer"
        console.note(f"Job {job_id} could not be cancelled and may go on: {reason} Try 'cancel {job_id}'.")
    else:
        console.note(_FAREWELLS.get(job["status"], f"Job {job_id} had {job['status']} already.").format(job_id))


def _report(job: dict[str, Json], saved: dict[str, Json], console: Console) -> Exit:
    console.document({"job": job, "outputs": saved})
    if job["status"] != "succeeded":
        failure = job["failure"] or {}
        where = f" (node {failure['node_id']}, {failure['class_type']})" if failure.get("node_id") else ""
        console.note(f"Job {job['id']} {job['status']}: {failure.get('message', 'no reason was given')}{where}")
        return Exit.JOB_FAILED
    for name, value in saved.items():
        for path in value["files"]:
            console.text(f"{name}: {path}")
        if not value["files"]:
            console.text(f"{name}: {value['data']}")
    return Exit.OK
