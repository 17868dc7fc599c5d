"""The fake backend's routes, each answering as ComfyUI's server.py does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from tests.fakes.validation import validate

if TYPE_CHECKING:
    from tests.fakes.fake_comfy import FakeComfy

PLACES = ("input", "output", "temp")


def routes(fake: FakeComfy, prefix: str) -> list[web.RouteDef]:
    """Return the routes below a prefix."""
    handlers = _Handlers(fake)
    table = [
        web.get("/ws", handlers.socket),
        web.post("/prompt", handlers.post_prompt),
        web.get("/prompt", handlers.get_prompt),
        web.get("/queue", handlers.get_queue),
        web.post("/queue", handlers.post_queue),
        web.get("/history/{prompt_id}", handlers.get_history),
        web.post("/interrupt", handlers.interrupt),
        web.post("/free", handlers.free),
        web.get("/system_stats", handlers.system_stats),
        web.get("/features", handlers.features),
        web.get("/object_info", handlers.object_infos),
        web.get("/object_info/{node_class}", handlers.object_info),
        web.get("/models", handlers.models),
        web.get("/models/{folder}", handlers.model_folder),
        web.post("/upload/image", handlers.upload),
        web.get("/view", handlers.view),
    ]
    if fake.jobs_api and prefix.endswith("/api"):
        table.append(web.post("/jobs/{job_id}/cancel", handlers.cancel_job))
    return [web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs) for route in table]


class _Handlers:
    def __init__(self, fake: FakeComfy) -> None:
        self._fake = fake

    async def socket(self, request: web.Request) -> web.StreamResponse:
        fake = self._fake
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        fake.sockets[client_id] = socket
        assert isinstance(request.transport, asyncio.Transport)
        fake.transports[client_id] = request.transport
        status = {"exec_info": {"queue_remaining": fake.remaining}}
        await socket.send_json({"type": "status", "data": {"status": status, "sid": client_id}})
        try:
            first = True
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT and first:
                    self._take_features(client_id, json.loads(message.data))
                first = False
        finally:
            # ComfyUI does the same, and so takes away a newer socket of the same id.
            fake.sockets.pop(client_id, None)
            fake.transports.pop(client_id, None)
        return socket

    def _take_features(self, client_id: str, message: Any) -> None:
        if message.get("type") == "feature_flags":
            self._fake.features_of[client_id] = message.get("data", {})
            self._fake.send("feature_flags", self._features(), client_id)

    def _features(self) -> dict[str, Any]:
        return {"supports_preview_metadata": True, "max_upload_size": self._fake.max_upload_bytes}

    async def post_prompt(self, request: web.Request) -> web.Response:
        from tests.fakes.fake_comfy import Waiting

        fake, body = self._fake, await request.json()
        fake.submissions.append(body)
        if "number" in body:
            number = float(body["number"])
        else:
            number = fake.next_number()
            number = -number if body.get("front") else number
        if "prompt" not in body:
            error = {"type": "no_prompt", "message": "No prompt provided", "details": "", "extra_info": {}}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        prompt_id = str(body.get("prompt_id", uuid.uuid4()))
        if fake.jobs_api and not _canonical(prompt_id):
            # Versions with the jobs API are as strict; older ones take any text.
            message = "prompt_id must be a valid UUID"
            error = {"type": "invalid_prompt_id", "message": message, "details": "", "extra_info": {}}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        verdict = validate(body["prompt"], fake.classes, fake.annotated_files())
        if verdict.error is not None:
            return web.json_response({"error": verdict.error, "node_errors": verdict.node_errors}, status=400)
        extra = dict(body.get("extra_data", {}))
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        fake.put(Waiting(number, prompt_id, body["prompt"], extra, verdict.outputs))
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    async def get_prompt(self, _request: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": self._fake.remaining}})

    async def get_queue(self, _request: web.Request) -> web.Response:
        running = [waiting.listed() for waiting in self._fake.running]
        pending = [waiting.listed() for waiting in self._fake.pending]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def post_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        for prompt_id in body.get("delete", ()):
            self._fake.delete(prompt_id)
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        entry = self._fake.history.get(prompt_id)
        return web.json_response({} if entry is None else {prompt_id: entry})

    async def interrupt(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        self._fake.interrupts.append(body)
        self._fake.interrupt(body.get("prompt_id"))
        return web.Response()

    async def cancel_job(self, request: web.Request) -> web.Response:
        job_id = request.match_info["job_id"]
        return web.json_response({"cancelled": self._fake.interrupt(job_id) or self._fake.delete(job_id)})

    async def free(self, request: web.Request) -> web.Response:
        self._fake.freed.append(await request.json())
        return web.Response()

    async def system_stats(self, _request: web.Request) -> web.Response:
        device = {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": self._fake.vram_bytes,
            "vram_free": 6 << 30,
        }
        system = {
            "os": "posix",
            "ram_total": 16 << 30,
            "ram_free": 8 << 30,
            "comfyui_version": self._fake.version,
            "python_version": "3.11.7 (fake)",
            "pytorch_version": "2.13.0+cpu",
            "argv": ["main.py"],
        }
        return web.json_response({"system": system, "devices": [device]})

    async def features(self, _request: web.Request) -> web.Response:
        return web.json_response(self._features())

    async def object_infos(self, _request: web.Request) -> web.Response:
        return web.json_response({name: known.info for name, known in self._fake.classes.items()})

    async def object_info(self, request: web.Request) -> web.Response:
        name = request.match_info["node_class"]
        known = self._fake.classes.get(name)
        return web.json_response({} if known is None else {name: known.info})

    async def models(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self._fake.models))

    async def model_folder(self, request: web.Request) -> web.Response:
        files = self._fake.models.get(request.match_info["folder"])
        return web.Response(status=404) if files is None else web.json_response(files)

    async def upload(self, request: web.Request) -> web.Response:
        fields: dict[str, str] = {}
        name, content, size = "", b"", 0
        # Not request.post(): its temporary files stay open when a client breaks off.
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            assert isinstance(part, aiohttp.BodyPartReader)
            data = await part.read()
            size += len(data)
            if size > self._fake.max_upload_bytes:
                raise web.HTTPRequestEntityTooLarge(self._fake.max_upload_bytes, size)
            if part.name == "image":
                name, content = part.filename or "", bytes(data)
            else:
                fields[part.name or ""] = data.decode()
        place, subfolder = fields.get("type", "input"), fields.get("subfolder", "")
        if place not in PLACES:
            return web.Response(status=500)
        if not name or ".." in subfolder.split("/"):
            return web.Response(status=400)
        if fields.get("overwrite") not in ("true", "1"):
            name = self._free_name(place, subfolder, name, content)
        self._fake.files[place, subfolder, name] = content
        return web.json_response({"name": name, "subfolder": subfolder, "type": place})

    def _free_name(self, place: str, subfolder: str, name: str, content: bytes) -> str:
        stem, dot, suffix = name.rpartition(".") if "." in name else (name, "", "")
        candidate, count = name, 0
        while (stored := self._fake.files.get((place, subfolder, candidate))) is not None:
            if hashlib.sha256(stored).digest() == hashlib.sha256(content).digest():
                return candidate
            count += 1
            candidate = f"{stem} ({count}){dot}{suffix}"
        return candidate

    async def view(self, request: web.Request) -> web.Response:
        query = request.query
        name, place = query.get("filename", ""), query.get("type", "output")
        if not name:
            return web.Response(status=404)
        if name.startswith("/") or ".." in name or place not in PLACES:
            return web.Response(status=400)
        if ".." in query.get("subfolder", "").split("/"):
            return web.Response(status=403)
        content = self._fake.files.get((place, query.get("subfolder", ""), name))
        if content is None:
            return web.Response(status=404)
        kind = "image/png" if name.endswith(".png") else "application/octet-stream"
        return web.Response(body=content, content_type=kind)


def _canonical(prompt_id: str) -> bool:
    try:
        return str(uuid.UUID(prompt_id)) == prompt_id
    except ValueError:
        return False
