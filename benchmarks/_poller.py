"""A process of its own that asks a server for its queue, as a browser tab does, and tells how long each answer took.

A request is due every 10 ms and counts from when it was due: one that waits behind a slow one has waited, too. It asks
until its standard input ends, then prints the milliseconds as JSON.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tools.devtools.paths import ROOT

PERIOD_S = 0.01


@contextmanager
def polling(url: str) -> Iterator[list[float]]:
    """Ask a server while the block runs; after it the list holds the milliseconds of each answer."""
    command = [sys.executable, "-m", __name__, url]
    latencies: list[float] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        yield latencies
        told, _ = process.communicate()
    latencies += json.loads(told)


def poll(url: str, over: threading.Event) -> list[float]:
    """Return the milliseconds of each answer until ``over`` is set."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    latencies: list[float] = []
    due = time.perf_counter()
    while not over.wait(max(0.0, due - time.perf_counter())):
        connection.request("GET", "/queue")
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"GET /queue answered {response.status}")
        latencies.append(1000 * (time.perf_counter() - due))
        due += PERIOD_S
    connection.close()
    return latencies


def _until_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def _main() -> None:
    over = threading.Event()
    threading.Thread(target=_until_end, args=(over,), daemon=True).start()
    print(json.dumps(poll(sys.argv[1], over)))


if __name__ == "__main__":
    _main()
