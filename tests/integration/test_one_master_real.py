"""Two ComfyUI processes on one user directory: the first is the master, the second says why it is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.master import Master
from tools.devtools.demo import Api
from tools.devtools.instances import Farm, Spec
from tools.devtools.pack import Install

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(180)]


def test_the_second_process_on_a_user_directory_orchestrates_nothing_and_says_so(comfy_farm: Farm) -> None:
    (first,) = comfy_farm.with_pack("first")
    Master(first)
    users = str(first.directory / "user")
    (second,) = comfy_farm.start(Spec("second", Install.LINK, ("--user-directory", users)))
    try:
        api = Api(second.url)
        status: Any = api.wait("the second to say why", lambda: _settled(api))
        assert not status["ready"]
        assert str(first.port) in status["problem"]
        assert status["problem"] in second.log_tail(200)
        assert Api(first.url).get("/orchestrator/status")["ready"]
        node = {"workflow": "any", "backend": "auto", "parameters": "{}"}
        preview = {"class_type": "PreviewAny", "inputs": {"source": ["1", 2]}}
        refused = Master.refusal_of(
            second.url, {"1": {"class_type": "OrchestratorRemoteWorkflow", "inputs": node}, "2": preview}
        )
        assert str(first.port) in str(refused["node_errors"])
    finally:
        second.stop()


def _settled(api: Api) -> dict[str, Any] | None:
    status: dict[str, Any] = api.get("/orchestrator/status")
    return status if status["ready"] or "is starting" not in status["problem"] else None
