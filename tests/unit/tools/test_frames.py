"""What frames took, read from traces as Chromium writes them."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks._frames import Frames, frames_of, together

Event = dict[str, Any]


def thread(name: str, tid: int) -> Event:
    return {"name": "thread_name", "ph": "M", "pid": 1, "tid": tid, "args": {"name": name}}


def task(begin_ms: float, wall_ms: float, cpu_ms: float, tid: int = 1) -> Event:
    times = {"ts": begin_ms * 1e3, "dur": wall_ms * 1e3, "tdur": cpu_ms * 1e3}
    return {"name": "RunTask", "ph": "X", "pid": 1, "tid": tid, **times}


def callback(at_ms: float, tid: int = 1) -> Event:
    return {"name": "FireAnimationFrame", "ph": "X", "pid": 1, "tid": tid, "ts": at_ms * 1e3, "dur": 1}


def test_a_frame_is_all_that_the_main_thread_did_until_the_next_one() -> None:
    frames = frames_of(
        [
            thread("CrRendererMain", 1),
            thread("Compositor", 2),
            task(0, 3, 3),  # before the first frame
            *(task(10, 4, 2), callback(11), callback(12)),
            task(15, 2, 1),
            task(16, 9, 9, tid=2),  # of another thread
            *(task(26, 8, 5), callback(27)),
            task(28, 1, 1),  # within the task before it
            *(task(43, 1, 1), callback(43.5)),
        ]
    )
    assert frames.costs_ms == [3.0, 5.0]
    assert frames.intervals_ms == [16.0, 16.5]


def test_the_page_that_draws_is_taken_of_several() -> None:
    trace = [thread("CrRendererMain", 1), thread("CrRendererMain", 2), task(0, 1, 7, tid=2), callback(0, tid=2)]
    for at in (0, 16, 32, 48):
        trace += [task(at, 1, 1), callback(at + 0.5)]
    assert frames_of(trace).costs_ms == [1.0, 1.0, 1.0]


def test_a_trace_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        frames_of([thread("CrRendererMain", 1), task(0, 1, 1)])


def test_what_is_added_is_what_lies_beyond_the_controls_median() -> None:
    control = Frames([1.0, 2.0, 9.0], [16.0] * 3)
    added = together([Frames([2.0, 5.0], [16.0] * 2), Frames([1.0], [17.0])]).added_to(control)
    assert added.costs_ms == [0.0, 3.0, -1.0]
    assert added.figures("x")["x_max_ms"] == 3.0
