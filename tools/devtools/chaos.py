"""``dev.py chaos``: the chaos test for as long as one likes, seed after seed, with counts of what happened."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.support.chaos import Report, run_chaos
from tools.devtools.console import table
from tools.devtools.environments import find_comfyui
from tools.devtools.failure import DevError
from tools.devtools.instances import Farm
from tools.devtools.scratch import scratch

JOBS = 40
FIRST_SEED = 1_000


def main(arguments: Sequence[str]) -> int:
    """Run seeds until the time is up. Returns 0, or 1 if something that is promised did not hold."""
    parser = argparse.ArgumentParser(prog="dev.py chaos")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="the first; the others follow it")
    options = parser.parse_args(list(arguments))
    logging.basicConfig(level=logging.ERROR)  # that backends come and go is the point
    deadline = time.monotonic() + 60.0 * options.minutes
    reports: list[Report] = []
    try:
        with scratch("chaos") as folder, Farm(find_comfyui(), folder) as farm:
            while not reports or time.monotonic() < deadline:
                report = asyncio.run(run_chaos(farm, options.seed + len(reports), jobs=JOBS))
                reports.append(report)
                print(_line(report), flush=True)
    except DevError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if not reports:
            return 130
    print(f"\n{summary(reports)}", flush=True)
    return 1 if any(report.problems for report in reports) else 0


def summary(reports: Sequence[Report]) -> str:
    """Return the counts of all seeds as a table."""
    faults: Counter[str] = Counter()
    verbs: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for report in reports:
        faults += report.faults
        verbs += report.verbs
        ends += report.ends
        causes += report.causes
    rows: list[tuple[str, str, int]] = [("seeds", "", len(reports))]
    rows += [("jobs", name, count) for name, count in sorted(ends.items())]
    rows += [("attempts", "all", sum(r.attempts for r in reports))]
    rows += [("attempts", f"failed: {name}", count) for name, count in sorted(causes.items())]
    rows += [("executions", "counted by the servers", sum(r.executions for r in reports))]
    rows += [("faults", name, count) for name, count in sorted(faults.items())]
    rows += [("verbs", name, count) for name, count in sorted(verbs.items())]
    rows += [("problems", "", sum(len(r.problems) for r in reports))]
    return table(["what", "kind", "count"], rows)


def _line(report: Report) -> str:
    told = f"seed {report.seed}: {dict(report.ends)} in {report.attempts} attempts, {report.seconds:.0f} s"
    return "\n  ".join([told, *report.problems])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
