"""A real master as tests use it: over HTTP, as the canvas and the sidebar do."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tools.devtools.demo import Api
from tools.devtools.instances import Instance

T = TypeVar("T")

TIMEOUT_S = 90.0


class Master:
    """One real ComfyUI with the pack."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.api = Api(instance.url)
        self.api.wait("the orchestrator", self.api.is_ready)

    def register(self, peer: Instance) -> None:
        """Add a peer and wait until it is online."""
        self.api.send("POST", "/orchestrator/backends", {"name": peer.name, "base_url": peer.url})
        self.wait_online(peer.name)

    def wait_online(self, *names: str) -> None:
        """Wait until backends are online and known."""

        def all_online() -> bool:
            states = {b["name"]: b for b in self.api.get("/orchestrator/backends")["backends"]}
            return all(states[name]["status"] == "online" and states[name]["capabilities"] for name in names)

        self.until(all_online)

    def forget_backends(self) -> None:
        """Remove every backend but the master itself."""
        for backend in self.api.get("/orchestrator/backends")["backends"]:
            if not backend["local"]:
                self.api.send("DELETE", f"/orchestrator/backends/{backend['id']}", {})

    def define(self, name: str, prompt: Mapping[str, Any]) -> str:
        """Put a workflow into the library; return its id."""
        return str(self.api.send("POST", "/orchestrator/definitions", {"name": name, "prompt": prompt})["id"])

    def redefine(self, workflow: str, prompt: Mapping[str, Any]) -> None:
        """Save a new version of a workflow."""
        name = self.api.get(f"/orchestrator/definitions/{workflow}")["name"]
        self.api.send("PUT", f"/orchestrator/definitions/{workflow}", {"name": name, "prompt": prompt})

    def queue(self, prompt: Mapping[str, Any]) -> str:
        """Queue a prompt; return its id."""
        return str(self.api.send("POST", "/prompt", {"prompt": prompt, "client_id": "tests"})["prompt_id"])

    def interrupt(self) -> None:
        """Press stop."""
        request = urllib.request.Request(f"{self.instance.url}/interrupt", data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass

    def refused(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        """Queue a prompt that must be refused; return the refusal."""
        return self.refusal_of(self.instance.url, prompt)

    @staticmethod
    def refusal_of(url: str, prompt: Mapping[str, Any]) -> dict[str, Any]:
        """Queue a prompt on any ComfyUI that must refuse it; return the refusal."""
        request = urllib.request.Request(
            f"{url}/prompt",
            data=json.dumps({"prompt": prompt}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            answer: dict[str, Any] = json.loads(error.read())
            return answer
        raise AssertionError("the prompt was accepted")

    def wait(self, prompt_id: str) -> dict[str, Any]:
        """Wait for a prompt's end; return its history entry."""
        entry: dict[str, Any] = self.until(lambda: self.api.get(f"/history/{prompt_id}").get(prompt_id))
        return entry

    def run(self, prompt: Mapping[str, Any]) -> str:
        """Queue a prompt and wait for its good end; return its id."""
        prompt_id = self.queue(prompt)
        entry = self.wait(prompt_id)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
        return prompt_id

    def images(self, prompt_id: str, node_id: str) -> list[bytes]:
        """Return the images that a node of a prompt saved, in order, once it has ended."""
        output = self.wait(prompt_id)["outputs"].get(node_id, {})
        return [self._view(file) for file in output.get("images", [])]

    def jobs(self, run_id: str) -> list[dict[str, Any]]:
        """Return the jobs of a run with their attempts, in the order of their creation."""
        listed = self.api.get(f"/orchestrator/jobs?run={run_id}")["jobs"]
        return [self.api.get(f"/orchestrator/jobs/{job['id']}") for job in reversed(listed)]

    def until(self, ask: Callable[[], T | None]) -> T:
        """Ask until the answer is true; return it."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            answer = ask()
            if answer:
                return answer
            time.sleep(0.05)
        raise AssertionError(f"waited {TIMEOUT_S:.0f} s in vain. The master's log ends:\n{self.instance.log_tail()}")

    def _view(self, file: Mapping[str, str]) -> bytes:
        query = urllib.parse.urlencode(file)
        with urllib.request.urlopen(f"{self.instance.url}/view?{query}", timeout=TIMEOUT_S) as answer:
            data: bytes = answer.read()
        return data
