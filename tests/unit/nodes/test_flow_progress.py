"""What a node shows of many jobs at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import Attempt, AttemptStatus, Backend, Job, JobSpec, JobStatus
from comfy_orchestrator_nodes.nodes.crossing import Crossing
from comfy_orchestrator_nodes.nodes.host import Execution
from comfy_orchestrator_nodes.nodes.progress import ProgressView
from comfy_orchestrator_nodes.orchestrator.snapshot import Snapshot
from comfy_orchestrator_nodes.scheduler.updates import JobChanged, JobPreviewed, JobProgressed
from comfy_orchestrator_nodes.service import Service


class Screen:
    """A host that remembers what it was told to show."""

    crossing: Crossing

    def __init__(self) -> None:
        self.text = ""
        self.bar: tuple[float, float] = (0.0, 0.0)
        self.previews: list[list[bytes]] = []
        self.texts = 0

    def snapshot(self) -> Snapshot:
        return Snapshot(backends=(Backend("1", "big", "http://big"), Backend("2", "small", "http://small")))

    def service(self) -> Service:
        raise NotImplementedError

    def execution(self) -> Execution:
        return Execution("prompt", "node")

    def client_id(self) -> str | None:
        return None

    def owner(self, execution: Execution) -> str | None:
        return None

    def show_progress(self, execution: Execution, value: float, maximum: float, previews: Sequence[bytes]) -> None:
        self.bar = (value, maximum)
        if previews:
            self.previews.append(list(previews))

    def show_text(self, execution: Execution, text: str) -> None:
        self.text = text
        self.texts += 1

    def save_previews(self, images: Any) -> list[dict[str, Any]]:
        raise AssertionError("nothing is saved here")

    def show_result(self, execution: Execution, node_id: str, ui: Mapping[str, Any]) -> None:
        raise AssertionError("nothing is shown here")

    def node_classes(self) -> Collection[str]:
        return ()

    def blocker(self, message: str | None) -> Any:
        return message

    def interrupt(self) -> Exception:
        return RuntimeError()


SPEC = JobSpec("d", 1, "h", {}, ())


def job(number: int, status: JobStatus = JobStatus.QUEUED, ended_at: float | None = None) -> Job:
    return Job(f"j{number}", "run", "key", SPEC, status, created_at=100.0, item_index=number, ended_at=ended_at)


def placed(number: int, backend: str) -> JobChanged:
    attempt = Attempt(f"a{number}", f"j{number}", 1, backend, "p", AttemptStatus.SUBMITTING)
    return JobChanged(job(number, JobStatus.DISPATCHED), "placed", attempt)


def ended(number: int, at: float) -> JobChanged:
    return JobChanged(job(number, JobStatus.SUCCEEDED, at), "succeeded", None)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_a_fan_out_shows_what_is_done_what_runs_where_and_what_is_left(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 10)
    view.show(
        [placed(1, "1"), placed(2, "2"), placed(3, "1"), ended(3, 104.0), JobProgressed("j1", "1", 0.5, None, None)]
    )
    assert screen.text == "1/10 done, 2 running on big, small, about 36 s left"
    assert screen.bar == (1.5, 10.0)
    view.show([ended(1, 106.0), ended(2, 108.0), placed(4, "2")])
    assert screen.text == "3/10 done, 1 running on small, about 19 s left"


def test_long_waits_are_told_in_minutes_and_hours(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 11)
    view.show([ended(1, 130.0)])
    assert screen.text.endswith("about 5 min left")
    view.show([ended(2, 100.0 + 2400.0)])
    assert screen.text.endswith("about 3 h 00 min left")


def test_nothing_is_guessed_before_an_end_and_nothing_is_left_after_the_last(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 2)
    view.show([placed(1, "1")])
    assert "left" not in screen.text
    view.show([ended(1, 101.0), ended(2, 102.0)])
    assert screen.text == "2/2 done"


def previewed(number: int, image: bytes) -> JobPreviewed:
    return JobPreviewed(f"j{number}", "1", image, "image/jpeg")


def test_the_newest_previews_of_all_running_items_are_shown_in_item_order(screen: Screen) -> None:
    now = iter([0.0, 0.5, 1.0])
    view = ProgressView(screen, Execution("prompt", "node"), 3, lambda: next(now))
    view.show([placed(2, "2"), placed(1, "1"), previewed(2, b"two"), previewed(1, b"one"), previewed(1, b"newer")])
    view.show([JobProgressed("j1", "1", 0.1, None, None)])
    view.show([ended(1, 101.0), previewed(2, b"newest")])
    assert screen.previews == [[b"newer", b"two"], [b"newest"]]


def test_previews_that_come_too_fast_wait_for_their_time_and_the_newest_is_shown(screen: Screen) -> None:
    now = iter([0.0, 0.1, 0.2, 0.5])
    view = ProgressView(screen, Execution("prompt", "node"), 2, lambda: next(now))
    view.show([placed(1, "1"), previewed(1, b"one")])
    view.show([previewed(1, b"two")])
    view.show([previewed(1, b"three")])
    assert screen.previews == [[b"one"]]
    view.show([JobProgressed("j1", "1", 0.5, None, None)])
    assert screen.previews == [[b"one"], [b"three"]]


def test_items_without_a_result_are_told_apart(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 3)
    view.show([ended(1, 101.0), JobChanged(job(2, JobStatus.FAILED, 102.0), "failed", None)])
    assert screen.text == "2/3 done, 1 of them failed, about 1 s left"


def test_a_farm_of_many_is_not_named_in_full(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 9)
    view.show([placed(number, f"server-{number}") for number in range(1, 8)])
    assert screen.text == "0/9 done, 7 running on server-1, server-2, server-3, server-4 and 3 more"


def test_a_line_that_stays_is_sent_once(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 1)
    view.show([placed(1, "1")])
    view.show([JobProgressed("j1", "1", 0.1, None, None)])
    view.show([JobProgressed("j1", "1", 0.2, None, None)])
    assert (screen.text, screen.texts, screen.bar) == ("big", 1, (0.2, 1.0))


def test_an_item_that_is_tried_again_is_not_counted_as_running(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 2)
    view.show([placed(1, "1"), JobProgressed("j1", "1", 0.9, None, None)])
    view.show([replace(placed(1, "1"), kind="faulted")])
    assert (screen.text, screen.bar) == ("0/2 done", (0.0, 2.0))


def test_a_single_job_that_ended_tells_where_and_in_which_attempt(screen: Screen) -> None:
    view = ProgressView(screen, Execution("prompt", "node"), 1)
    view.show([placed(0, "1")])
    assert screen.text == "big"
    second = Attempt("a1", "j0", 2, "2", "p", AttemptStatus.SUBMITTING)
    view.show([JobChanged(job(0, JobStatus.DISPATCHED), "placed", second)])
    assert screen.text == "small (attempt 2)"
    view.show([ended(0, 101.0)])
    assert screen.text == "small (attempt 2)"
