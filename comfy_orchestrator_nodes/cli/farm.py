"""The commands that look at the master and change what it has: backends, definitions, jobs, cancel, import, export."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..backend.carriers import media_type_of
from .console import Console
from .failures import CommandFailed, Exit
from .local import STDIN, open_file, write_file
from .master import Master, Refused, part

Json = Any

_GIB = 1 << 30


async def backends(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """List the backends."""
    found = await master.get("/backends")
    console.document(found)
    console.table(
        ("name", "state", "queue", "version", "devices", "address", "problem"),
        [
            (
                b["name"],
                b["status"] if b["enabled"] else "disabled",
                str(b["queue_remaining"]),
                (b["capabilities"] or {}).get("comfyui_version", ""),
                _devices(b["capabilities"]),
                b["base_url"],
                b["last_error"] if b["status"] != "online" else "",
            )
            for b in found["backends"]
        ],
    )
    return Exit.OK


async def definitions(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """List the library."""
    query = {"search": " ".join(arguments.search)} | ({"tag": arguments.tag} if arguments.tag else {})
    found = await master.get("/definitions", query)
    console.document(found)
    console.table(
        ("id", "version", "name", "inputs", "outputs", "tags"),
        [
            (
                d["id"],
                str(d["version"]),
                d["name"],
                ", ".join(p["name"] for p in d["parameters"]),
                ", ".join(o["name"] for o in d["outputs"]),
                ", ".join(d["tags"]),
            )
            for d in found["definitions"]
        ],
    )
    return Exit.OK


async def definition_of(master: Master, name: str, version: int | None = None) -> dict[str, Json]:
    """Return a definition by its id, or by its name if only one has it.

    Raises:
        CommandFailed: there is none, or several have that name.
    """
    query = {} if version is None else {"version": str(version)}
    try:
        return await master.get(f"/definitions/{part(name)}", query)
    except Refused as error:
        if error.status != 404 or error.details().get("kind") != "definition":
            raise
        missing = error
    everything = (await master.get("/definitions"))["definitions"]
    named = [d["id"] for d in everything if d["name"].casefold() == name.casefold()]
    if len(named) == 1:
        return await master.get(f"/definitions/{part(named[0])}", query)
    if named:
        raise CommandFailed(
            f"Several definitions are named {name!r}: use the id of one ({', '.join(named)}).", Exit.BAD_INPUT
        )
    if not everything:
        raise CommandFailed(
            f"{missing} The library is empty: put a workflow into it with 'import FILE'.", Exit.BAD_INPUT
        )
    ids = [d["id"] for d in everything]
    names = [d["name"] for d in everything if d["name"].casefold() not in ids]
    near = get_close_matches(name.casefold(), [*ids, *names], n=3)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"The library has {', '.join(ids[:10])}."
    raise CommandFailed(f"There is no definition {name!r}. {hint} 'definitions' lists them all.", Exit.BAD_INPUT)


async def jobs(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """List jobs, or tell of one."""
    if arguments.job is not None:
        return await _one_job(arguments.job, console, master)
    query = {"limit": str(arguments.limit)}
    if arguments.definition:
        query["definition"] = arguments.definition
    found = await master.get("/jobs", query, repeated={"status": arguments.status})
    console.document(found)
    console.table(
        ("job", "status", "definition", "created", "seconds", "failure"),
        [
            (
                job["id"],
                job["status"],
                f"{job['definition']} v{job['version']}",
                _time(job["created_at"]),
                _duration(job),
                (job["failure"] or {}).get("message", ""),
            )
            for job in found["jobs"]
        ],
    )
    return Exit.OK


async def cancel(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """Cancel jobs."""
    answers = [await master.post(f"/jobs/{part(job)}/cancel") for job in arguments.job]
    console.document({"jobs": answers})
    for answer in answers:
        console.text(f"{answer['id']}: {answer['status']}")
    return Exit.OK


async def import_file(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """Put a file into the library."""
    query = {"on_conflict": arguments.on_conflict}
    if arguments.file != STDIN:
        query["filename"] = Path(arguments.file).name
    if arguments.name and not arguments.embedded:
        query["name"] = arguments.name
    path = "/definitions/embedded/import" if arguments.embedded else "/definitions/import"
    with open_file(arguments.file) as file:
        found = await master.upload(path, file, media_type_of(arguments.file), query)
    console.document(found)
    console.text(f"Found: {found['found']}.")
    for one in found["imported"]:
        definition = one["definition"]
        console.text(
            f"{one['action'].replace('_', ' ')}: {definition['id']} v{definition['version']} ({definition['name']})"
        )
    for warning in found["warnings"]:
        console.note(f"Note: {warning}")
    return Exit.OK


async def export(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """Write a definition to a file."""
    found = await definition_of(master, arguments.definition, arguments.version)
    query = {} if arguments.version is None else {"version": str(arguments.version)}
    data = await master.file(f"/definitions/{part(found['id'])}/export", query)
    if arguments.out is None:
        console.json(json.loads(data))
        return Exit.OK
    write_file(Path(arguments.out), data)
    count = len(json.loads(data)["definitions"])
    console.document({"definitions": count, "path": arguments.out})
    console.text(f"{count} definition{'s' * (count != 1)} written to {arguments.out}")
    return Exit.OK


async def _one_job(job_id: str, console: Console, master: Master) -> Exit:
    job = await master.get(f"/jobs/{part(job_id)}")
    console.document(job)
    console.text(f"{job['id']}: {job['status']}, {job['definition']} v{job['version']}, {_time(job['created_at'])}")
    if job["failure"]:
        console.text(f"Failure: {job['failure']['message']}")
    console.table(
        ("attempt", "backend", "status", "seconds", "failure"),
        [
            (
                str(attempt["number"]),
                attempt["backend"],
                attempt["status"],
                _duration(attempt),
                (attempt["failure"] or {}).get("message", ""),
            )
            for attempt in job["attempts"]
        ],
    )
    return Exit.OK


def _devices(capabilities: Json) -> str:
    gpus = (capabilities or {}).get("gpus", ())
    return ", ".join(f"{gpu['name']} ({gpu['vram_total_bytes'] / _GIB:.0f} GB)" for gpu in gpus)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _duration(timed: dict[str, Json]) -> str:
    return "" if timed["ended_at"] is None else f"{timed['ended_at'] - timed['created_at']:.1f}"
