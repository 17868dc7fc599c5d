from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.messages import Connected, Disconnected
from comfy_orchestrator_nodes.domain import Backend, TlsOptions
from comfy_orchestrator_nodes.errors import BackendUnreachable
from tests.unit.backend.conftest import QUICK

TLS = Path(__file__).parents[2] / "data" / "tls"
TRUSTED = TlsOptions(ca_file=str(TLS / "ca.pem"))


async def _prompt(_request: web.Request) -> web.Response:
    return web.json_response({"exec_info": {"queue_remaining": 4}})


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 4}}}})
    async for _ in socket:
        pass
    return socket


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = web.Application()
    app.add_routes([web.get("/prompt", _prompt), web.get("/ws", _socket)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def client_of(url: str, tls: TlsOptions) -> ComfyClient:
    return ComfyClient(Backend("b", "B", url, tls=tls), timeouts=QUICK)


@pytest.mark.parametrize("tls", [TRUSTED, TlsOptions(verify=False)], ids=["own authority", "unchecked"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_backend_is_reached_over_tls(port: int, tls: TlsOptions, host: str) -> None:
    async with client_of(f"https://{host}:{port}", tls) as client:
        assert await client.ping() == 4
        assert isinstance(await anext(client.listen()), Connected)


async def test_a_certificate_is_checked_unless_told_otherwise(port: int) -> None:
    async with client_of(f"https://127.0.0.1:{port}", TlsOptions()) as client:
        with pytest.raises(BackendUnreachable, match="certificate is not trusted"):
            await client.ping()
        told = await anext(client.listen())

    assert isinstance(told, Disconnected)
    assert isinstance(told.error, BackendUnreachable)


async def test_a_certificate_of_another_name_is_not_taken(port: int) -> None:
    async with client_of(f"https://127.0.0.2:{port}", TRUSTED) as client:
        with pytest.raises(BackendUnreachable):
            await client.ping()


async def test_plain_http_is_not_spoken_to_a_tls_port(port: int) -> None:
    async with client_of(f"http://127.0.0.1:{port}", TlsOptions()) as client:
        with pytest.raises(Exception, match="B: "):
            await client.ping()


async def test_tls_to_a_plain_port_is_unreachable() -> None:
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with client_of(f"https://127.0.0.1:{runner.addresses[0][1]}", TRUSTED) as client:
            with pytest.raises(BackendUnreachable, match="TLS"):
                await client.ping()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_unusable_authority_file_is_told_by_every_request(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    async with client_of("https://h", TlsOptions(ca_file=str(path))) as client:
        with pytest.raises(BackendUnreachable, match="PEM"):
            await client.ping()
