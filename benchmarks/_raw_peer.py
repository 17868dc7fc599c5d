"""A peer with the pack and, in its process, the least that any program could do: a route that takes and sends bytes."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install

RAW = "/orchestrator-benchmark/raw"
KEEP = "/kept"
"""Behind a name: the route also hashes what it takes and writes it to a file, which it deletes."""

_PART_BYTES = 1 << 20

_ROUTE = f'''
import asyncio, hashlib, os, tempfile
from aiohttp import web
import folder_paths
from server import PromptServer

NODE_CLASS_MAPPINGS = {{}}
held = {{}}

@PromptServer.instance.routes.put("{RAW}/{{name}}")
async def put_raw(request):
    content = bytearray(request.content_length)
    filled = 0
    async for chunk in request.content.iter_any():
        content[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    held[request.match_info["name"]] = content
    return web.Response()

def keep(content):
    with tempfile.NamedTemporaryFile(dir=folder_paths.get_temp_directory(), buffering=0) as file:
        file.write(content)
    hashlib.sha256(content).hexdigest()

@PromptServer.instance.routes.put("{RAW}/{{name}}{KEEP}")
async def put_kept(request):
    response = await put_raw(request)
    await asyncio.to_thread(keep, held[request.match_info["name"]])
    return response

@PromptServer.instance.routes.get("{RAW}/{{name}}")
async def get_raw(request):
    content = held[request.match_info["name"]]
    response = web.StreamResponse()
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(memoryview(content))
    await response.write_eof()
    return response
'''


def start(farm: Farm, name: str, *arguments: str) -> Instance:
    """Return a ready peer that has the pack and the bare route, started with more arguments of ComfyUI's main.py."""
    spec = Spec(name, Install.LINK, arguments)
    folder = farm.directory / name / "custom_nodes" / "raw-route"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(_ROUTE)
    return farm.start(spec)[0]


class Wire:
    """One connection, as plain as can be: blocks, reads straight into memory that is there already."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._part = memoryview(bytearray(_PART_BYTES))

    def get(self, path: str, into: npt.NDArray[np.uint8]) -> None:
        """Read a body of exactly that size."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        view, filled = into.data, 0
        while filled < len(view):
            got = response.readinto(view[filled:])
            if not got:
                raise ConnectionError(f"{path} ended after {filled} bytes ({response.status})")
            filled += got
        response.read()

    def parts(self, path: str) -> Iterator[memoryview]:
        """Yield a body part by part, each in the same memory."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        while got := response.readinto(self._part):
            yield self._part[:got]

    def put(self, path: str, data: memoryview, headers: Mapping[str, str] | None = None) -> None:
        """Send a body."""
        self._connection.request("PUT", path, body=data, headers={"Content-Length": str(len(data)), **(headers or {})})
        response = self._connection.getresponse()
        response.read()
        if response.status >= 300:
            raise ConnectionError(f"{path} answered {response.status}")

    def delete(self, path: str, headers: Mapping[str, str]) -> None:
        """Delete something."""
        self._connection.request("DELETE", path, headers=dict(headers))
        self._connection.getresponse().read()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
