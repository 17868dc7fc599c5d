"""Who queued a run, on a real master that several users share."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.support.master import TIMEOUT_S, Master
from tools.devtools.instances import Farm, Spec
from tools.devtools.pack import Install

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]


def post(url: str, body: dict[str, Any], **headers: str) -> Any:
    """Send JSON as a user's browser does."""
    sent = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=sent)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.loads(answer.read())


def test_runs_and_jobs_belong_to_the_user_who_queued_them(comfy_farm: Farm) -> None:
    (peer,) = comfy_farm.plain("owner-peer")
    (instance,) = comfy_farm.start(Spec("owner-master", Install.LINK, ("--multi-user",)))
    master = Master(instance)
    master.register(peer)
    user = post(f"{instance.url}/users", {"username": "ann"})
    empty = {"width": 8, "height": 8, "batch_size": 1, "color": 7}
    workflow = master.define(
        "Grey",
        {
            "1": {"class_type": "EmptyImage", "inputs": empty},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "grey"}},
        },
    )
    given = {"workflow": workflow, "backend": "auto", "parameters": "{}", "cache": False}

    def prompt(on_failure: str) -> dict[str, Any]:
        # Each differs, because ComfyUI would not run the same a second time.
        return {
            "1": {"class_type": "OrchestratorRemoteWorkflow", "inputs": {**given, "on_failure": on_failure}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 2], "filename_prefix": "got"}},
        }

    hers = post(f"{instance.url}/prompt", {"prompt": prompt("fail")}, **{"comfy-user": user})["prompt_id"]
    assert master.wait(hers)["status"]["status_str"] == "success"
    nobodys = post(f"{instance.url}/prompt", {"prompt": prompt("drop")})["prompt_id"]
    master.wait(nobodys)
    run = master.api.get(f"/orchestrator/runs/{hers}")
    assert run["owner"] == user
    assert [job["owner"] for job in run["jobs"]] == [user]
    assert master.api.get(f"/orchestrator/runs/{nobodys}")["owner"] is None
