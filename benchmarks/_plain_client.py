"""A client that knows nothing but ComfyUI's own nodes and routes: images as PNG, one after another, on one connection.

This is what "the PNG path" means: PreviewImage and /view one way, /upload/image and LoadImage the other.
"""

from __future__ import annotations

import http.client
import io
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image

_POLL_S = 0.01
_BOUNDARY = "----comfyui-orchestrator-benchmark"

Pixels = npt.NDArray[np.float32]


class PlainClient:
    """One connection to a ComfyUI."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def fetch(self, make: Mapping[str, Any]) -> list[Pixels]:
        """Return the images ``(1, H, W, 3)`` that a node makes."""
        prompt = {"m": make, "p": {"class_type": "PreviewImage", "inputs": {"images": ["m", 0]}}}
        shown = self._run(prompt)["p"]["images"]
        return [self._view(file) for file in shown]

    def send(self, images: Sequence[Pixels], take: Mapping[str, Any]) -> None:
        """Give images to the inputs ``i0``, ``i1``, ... of a node."""
        names = [self._upload(image) for image in images]
        prompt: dict[str, Any] = {
            f"l{n}": {"class_type": "LoadImage", "inputs": {"image": name}} for n, name in enumerate(names)
        }
        links = {f"i{n}": [f"l{n}", 0] for n in range(len(names))}
        prompt["t"] = {**take, "inputs": {**take["inputs"], **links}}
        prompt["p"] = {"class_type": "PreviewAny", "inputs": {"source": ["t", 0]}}
        self._run(prompt)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _run(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps({"prompt": prompt}).encode()
        prompt_id = json.loads(self._call("POST", "/prompt", body, "application/json"))["prompt_id"]
        while True:
            entry = json.loads(self._call("GET", f"/history/{prompt_id}")).get(prompt_id)
            if entry is not None:
                break
            time.sleep(_POLL_S)
        if entry["status"]["status_str"] != "success":
            raise RuntimeError(f"a plain prompt failed: {entry['status']['messages'][-1]}")
        outputs: dict[str, Any] = entry["outputs"]
        return outputs

    def _view(self, file: Mapping[str, str]) -> Pixels:
        with Image.open(io.BytesIO(self._call("GET", f"/view?{urlencode(file)}"))) as image:
            return (np.asarray(image.convert("RGB")).astype(np.float32) / 255.0)[None]

    def _upload(self, image: Pixels) -> str:
        png = io.BytesIO()
        Image.fromarray(np.clip(image[0] * 255.0, 0, 255).astype(np.uint8)).save(png, "PNG")
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{uuid.uuid4()}.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        body = b"".join([head.encode(), png.getvalue(), f"\r\n--{_BOUNDARY}--\r\n".encode()])
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        name: str = json.loads(self._call("POST", "/upload/image", body, kind))["name"]
        return name

    def _call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        self._connection.request(method, path, body=body, headers={"Content-Type": kind} if kind else {})
        response = self._connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{method} {path} answered {response.status}: {content[:200]!r}")
        return content
