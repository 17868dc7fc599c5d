"""Prints one sample of this machine as JSON: ``python -m comfy_orchestrator_nodes.agent.telemetry``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from .machine import Machine, Surroundings


def main(arguments: list[str]) -> int:
    """Take two samples, because rates need a time between, and print the second."""
    parser = argparse.ArgumentParser(description="Print what telemetry sees of this machine.")
    parser.add_argument("--seconds", type=float, default=1.0, help="between the two readings that rates need")
    parser.add_argument("--torch", action="store_true", help="import torch and ask it as well")
    options = parser.parse_args(arguments)
    torch: Any = importlib.import_module("torch") if options.torch else None
    machine = Machine(Surroundings(str(Path.cwd()), torch))
    machine.read()
    time.sleep(options.seconds)
    started, cpu = time.perf_counter(), time.thread_time()
    sample = machine.read()
    took, used = time.perf_counter() - started, time.thread_time() - cpu
    machine.close()
    json.dump(sample.to_json(), sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.stderr.write(f"read in {took * 1e3:.1f} ms, {used * 1e3:.1f} ms of them on the processor\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
