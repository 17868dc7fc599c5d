"""``dev.py bench``: runs benchmarks against real ComfyUIs and reports figures beside their floors."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from tools.devtools.console import table
from tools.devtools.environments import find_comfyui
from tools.devtools.failure import DevError
from tools.devtools.instances import Farm
from tools.devtools.paths import ROOT
from tools.devtools.scratch import scratch
from tools.devtools.steps import write_atomically


@dataclass(frozen=True)
class Result:
    """What a benchmark measured. Names of figures end in their unit; ratios compare the subject with its floor."""

    figures: Mapping[str, float]
    ratios: Mapping[str, float] = field(default_factory=dict)


Benchmark = Callable[[Farm], Awaitable[Result]]


@dataclass(frozen=True)
class Machine:
    """Where the figures come from; without it they mean nothing."""

    system: str
    processor: str
    cpus: int
    memory_bytes: int | None
    python: str
    commit: str | None


def describe_machine(root: Path = ROOT) -> Machine:
    """Return what is known of this machine and this working tree."""
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    git = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return Machine(
        system=platform.platform(),
        processor=platform.processor() or platform.machine(),
        cpus=os.cpu_count() or 1,
        memory_bytes=memory,
        python=platform.python_version(),
        commit=git.stdout.strip() or None,
    )


def discover(folder: Path) -> list[str]:
    """Return the names of all benchmarks in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def choose(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return the benchmarks to run: those asked for, or all.

    Raises:
        DevError: one that was asked for is not there.
    """
    if not there:
        raise DevError("There are no benchmarks yet; benchmarks/__init__.py says how one is written.")
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise DevError(f"No benchmark {', '.join(unknown)}. There are: {', '.join(there) or 'none'}.")
    return list(wanted or there)


def load(name: str, package: str = "benchmarks") -> Benchmark:
    """Return a benchmark's ``run``.

    Raises:
        DevError: the module has none.
    """
    run = getattr(importlib.import_module(f"{package}.{name}"), "run", None)
    if not callable(run):
        raise DevError(f"{package}/{name}.py has no `async def run(farm)`.")
    return cast(Benchmark, run)


def as_json(results: Mapping[str, Result], machine: Machine) -> str:
    """Return the results as a JSON array of ``{"name", "figures", "ratios", "machine"}``."""
    told = [
        {"name": name, "figures": dict(r.figures), "ratios": dict(r.ratios), "machine": asdict(machine)}
        for name, r in results.items()
    ]
    return json.dumps(told, indent=2) + "\n"


def as_text(name: str, result: Result) -> str:
    """Return one benchmark's results as a table."""
    rows: list[tuple[str, float]] = [(key, float(value)) for key, value in result.figures.items()]
    rows += [(f"ratio: {key}", float(value)) for key, value in result.ratios.items()]
    return table([name, "value"], rows)


def run_all(benchmarks: Mapping[str, Benchmark], farm: Farm) -> tuple[dict[str, Result], list[str]]:
    """Run benchmarks in turn and print each result. Returns the results, and the names of those that failed."""
    results: dict[str, Result] = {}
    failed: list[str] = []
    for name, benchmark in benchmarks.items():
        try:
            results[name] = asyncio.run(_awaited(benchmark(farm)))
        except Exception:  # noqa: BLE001 - a task boundary: one benchmark's fault must not cost the others' figures
            failed.append(name)
            print(f"--- {name} failed\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            continue
        print(as_text(name, results[name]), end="\n\n", flush=True)
    return results, failed


async def _awaited(measuring: Awaitable[Result]) -> Result:
    return await measuring


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks asked for. Returns 0, or 1 if one failed."""
    parser = argparse.ArgumentParser(prog="dev.py bench")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(list(arguments))
    try:
        benchmarks = {name: load(name) for name in choose(options.names, discover(ROOT / "benchmarks"))}
        with scratch("bench") as folder, Farm(find_comfyui(), folder) as farm:
            results, failed = run_all(benchmarks, farm)
    except DevError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        write_atomically(options.json, as_json(results, describe_machine()))
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
