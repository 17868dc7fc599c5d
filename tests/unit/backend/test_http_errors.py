from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import uuid

import pytest

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.http import Limits, Timeouts
from comfy_orchestrator_nodes.domain import Backend, Credentials
from comfy_orchestrator_nodes.errors import (
    BackendError,
    BackendFault,
    BackendRefused,
    BackendTimedOut,
    BackendUnreachable,
    ConnectionLost,
    InvalidRequest,
    InvalidUrl,
    PayloadTooLarge,
    ProtocolViolation,
)
from tests.support.raw_server import Link, RawServer, raw_server

IMPATIENT = Timeouts(connect_s=0.6, control_s=0.3, submit_s=0.3, document_s=0.3, idle_s=0.3)
PROMPT = {"1": {"class_type": "X", "inputs": {}}}


def client_of(
    url: str, timeouts: Timeouts | None = None, limits: Limits | None = None, **changes: object
) -> ComfyClient:
    backend = Backend("b", "B", url, **changes)  # type: ignore[arg-type]
    return ComfyClient(backend, timeouts=timeouts, limits=limits)


async def failure(client: ComfyClient, verb: str = "ping") -> BackendError:
    """Return what a request raises."""
    async with client:
        asked = client.ping() if verb == "ping" else client.submit(PROMPT, prompt_id=str(uuid.uuid4()))
        with pytest.raises(BackendError) as caught:
            await asked
    return caught.value


@pytest.mark.parametrize("verb", ["ping", "submit"])
async def test_a_refused_connection_is_unreachable(verb: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await failure(client_of(f"http://127.0.0.1:{unused.getsockname()[1]}"), verb)

    assert type(error) is BackendUnreachable


async def test_an_unknown_host_is_unreachable() -> None:
    error = await failure(client_of("http://no-such-host.invalid:8188"))

    assert type(error) is BackendUnreachable
    assert "no such host" in str(error)


@pytest.mark.parametrize("verb", ["ping", "submit"])
async def test_a_full_backlog_is_unreachable(verb: str) -> None:
    # A listening socket that nobody accepts from, its backlog filled: the kernel drops further connections.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        try:
            error = await failure(client_of(f"http://127.0.0.1:{deaf.getsockname()[1]}", IMPATIENT), verb)
        finally:
            for filler in fillers:
                filler.close()

    assert type(error) is BackendUnreachable


@pytest.mark.parametrize("verb", ["ping", "submit"])
async def test_silence_after_the_request_is_a_time_out(verb: str) -> None:
    async def script(server: RawServer, link: Link) -> None:
        request = await link.read_request()
        assert request is not None
        server.requests.append(request)
        await link.reader.read()

    async with raw_server(script) as server:
        error = await failure(client_of(server.url, IMPATIENT), verb)

    assert type(error) is BackendTimedOut
    assert len(server.requests) == 1


async def test_a_body_that_stands_still_is_a_time_out() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        link.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        await link.reader.read()

    async with raw_server(script) as server:
        error = await failure(client_of(server.url, IMPATIENT))

    assert type(error) is BackendTimedOut


@pytest.mark.parametrize("how", ["close", "reset", "half an answer"])
async def test_a_connection_that_breaks_after_the_request_is_lost(how: str) -> None:
    async def script(server: RawServer, link: Link) -> None:
        request = await link.read_request()
        assert request is not None
        server.requests.append(request)
        if how == "half an answer":
            link.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{}")
            await link.writer.drain()
        if how == "reset":
            link.abort()
        link.writer.close()

    async with raw_server(script) as server:
        error = await failure(client_of(server.url), "submit")

    assert type(error) is ConnectionLost
    assert len(server.requests) == 1


async def test_a_prompt_is_never_sent_twice_over_a_kept_connection_that_dies() -> None:
    async def script(server: RawServer, link: Link) -> None:
        first = await link.read_request()
        assert first is not None
        server.requests.append(first)
        await link.answer(b'{"exec_info": {"queue_remaining": 0}}')
        second = await link.read_request()
        if second is not None:
            server.requests.append(second)
        # Hang up on the second request without a word, as a restarting server or an idle-timing proxy does.
        link.writer.close()

    async with raw_server(script) as server, client_of(server.url) as client:
        await client.ping()
        with pytest.raises(ConnectionLost):
            await client.submit(PROMPT, prompt_id=str(uuid.uuid4()))

        assert [request.method for request in server.requests] == ["GET", "POST"]
        assert server.links == 1


async def test_a_question_is_asked_again_when_a_kept_connection_dies() -> None:
    async def script(server: RawServer, link: Link) -> None:
        while (request := await link.read_request()) is not None:
            server.requests.append(request)
            if len(server.requests) == 2:
                link.writer.close()
                return
            await link.answer(b'{"exec_info": {"queue_remaining": 3}}')

    async with raw_server(script) as server, client_of(server.url) as client:
        assert [await client.ping(), await client.ping()] == [3, 3]
        assert server.links == 2


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("401 Unauthorized", BackendRefused),
        ("403 Forbidden", BackendRefused),
        ("404 Not Found", BackendFault),
        ("413 Request Entity Too Large", PayloadTooLarge),
        ("500 Internal Server Error", BackendFault),
        ("503 Service Unavailable", BackendFault),
        ("299 Odd", BackendFault),
    ],
)
@pytest.mark.parametrize("verb", ["ping", "submit"])
async def test_a_status_has_its_error(status: str, expected: type[BackendError], verb: str) -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        await link.answer(b"<html>", status, Content_Type="text/html")

    async with raw_server(script) as server:
        error = await failure(client_of(server.url), verb)

    assert type(error) is expected
    assert status[:3] in str(error)


@pytest.mark.parametrize(
    ("status", "content_type"),
    [
        ("502 Bad Gateway", "text/html"),
        ("504 Gateway Timeout", "text/html"),
        ("524 A Timeout Occurred", "text/html"),
        ("200 OK", "text/html"),
        ("200 OK", "application/json"),
    ],
)
async def test_no_clear_answer_to_a_prompt_leaves_open_whether_it_was_taken(status: str, content_type: str) -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        await link.answer(b"{}", status, Content_Type=content_type)

    async with raw_server(script) as server:
        error = await failure(client_of(server.url), "submit")

    assert type(error) is ConnectionLost


async def test_a_gateway_without_an_answer_is_a_fault_for_a_question() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        await link.answer(b"", "504 Gateway Timeout")

    async with raw_server(script) as server:
        error = await failure(client_of(server.url))

    assert type(error) is BackendFault


async def test_a_400_that_is_not_from_comfyui_is_a_fault() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        await link.answer(b"Bad Request", "400 Bad Request", Content_Type="text/plain")

    async with raw_server(script) as server:
        error = await failure(client_of(server.url), "submit")

    assert isinstance(error, BackendFault)
    assert error.status == 400


DEEP = b"[" * 200_000
ANSWERS = {
    "a web page": (b"<html>Welcome</html>", {"Content_Type": "text/html"}),
    "no JSON": (b"{'a': 1}", {}),
    "another shape": (b"[]", {}),
    "wrong types": (b'{"exec_info": {"queue_remaining": "many"}}', {}),
    "a number without end": (b'{"exec_info": {"queue_remaining": ' + b"9" * 5000 + b"}}", {}),
    "not a number": (b'{"exec_info": {"queue_remaining": NaN}}', {}),
    "too deep": (DEEP, {}),
    "no text": (b"\xff\xfe\x00", {}),
    "compressed": (gzip.compress(b" " * 1000), {"Content_Encoding": "gzip"}),
    "too large": (b" " * 300_000, {}),
}


@pytest.mark.parametrize("name", list(ANSWERS))
async def test_an_answer_that_comfyui_does_not_send_is_a_violation(name: str) -> None:
    body, headers = ANSWERS[name]

    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        await link.answer(body, **headers)

    async with raw_server(script) as server:
        error = await failure(client_of(server.url, limits=Limits(answer_bytes=250_000)))

    assert type(error) is ProtocolViolation


async def test_an_endless_answer_is_cut_at_the_limit() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        link.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            link.writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await link.writer.drain()

    async with raw_server(script) as server:
        error = await failure(client_of(server.url, limits=Limits(answer_bytes=1 << 20)))

    assert type(error) is ProtocolViolation


async def test_an_announced_size_over_the_limit_is_not_read() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        link.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
        await link.reader.read()

    async with raw_server(script) as server:
        error = await failure(client_of(server.url))

    assert type(error) is ProtocolViolation
    assert "99999999999" in str(error)


async def test_what_is_no_http_is_a_violation() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        link.writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        await link.reader.read()

    async with raw_server(script) as server:
        error = await failure(client_of(server.url))

    assert type(error) is ProtocolViolation


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("verb", ["ping", "submit"])
async def test_a_redirect_is_told_and_not_followed(status: int, verb: str) -> None:
    async def thief(server: RawServer, link: Link) -> None:
        request = await link.read_request()
        assert request is not None
        server.requests.append(request)

    async with raw_server(thief) as elsewhere:

        async def script(_server: RawServer, link: Link) -> None:
            await link.read_request()
            await link.answer(b"", f"{status} Moved", Location=f"{elsewhere.url}/prompt?token=s3cret")

        async with raw_server(script) as server:
            error = await failure(client_of(server.url), verb)

    assert isinstance(error, BackendFault)
    assert elsewhere.url in str(error)
    assert "s3cret" not in str(error)
    assert elsewhere.links == 0


async def test_the_socket_does_not_follow_a_redirect_either() -> None:
    async def thief(_server: RawServer, link: Link) -> None:
        await link.read_request()

    async with raw_server(thief) as elsewhere:

        async def script(_server: RawServer, link: Link) -> None:
            await link.read_request()
            await link.answer(b"", "302 Found", Location=f"{elsewhere.url}/ws")

        async with (
            raw_server(script) as server,
            client_of(server.url, credentials=Credentials(headers={"X-Key": "s3cret"})) as client,
        ):
            message = await anext(client.listen())

    assert isinstance(message.error, BackendFault)  # type: ignore[union-attr]
    assert message.error.status == 302  # type: ignore[union-attr]
    assert elsewhere.links == 0


CREDENTIALS = Credentials(
    bearer_token="s3cret-token", username="me", password="s3cret-word", headers={"X-Api-Key": "s3cret-key"}
)


async def test_secrets_show_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    async def script(_server: RawServer, link: Link) -> None:
        while (request := await link.read_request()) is not None:
            # A server that repeats what it was sent, in its body and its headers.
            echo = str(request.headers).encode()
            await link.answer(echo, "500 Internal", X_Echo=str(request.headers), Content_Type="text/plain")

    caplog.set_level(logging.DEBUG)
    texts = []
    async with raw_server(script) as server, client_of(server.url, credentials=CREDENTIALS) as client:
        texts.append(repr(client))
        for verb in ("ping", "queue", "features", "all_object_info", "free"):
            with pytest.raises(BackendError) as caught:
                await getattr(client, verb)()
            texts += [str(caught.value), repr(caught.value), str(caught.value.details())]
        message = await anext(client.listen())
        texts.append(repr(message))

    assert "s3cret" not in "\n".join([*texts, caplog.text])


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (Credentials(bearer_token="t"), {"authorization": "Bearer t"}),
        (
            Credentials(username="Aladdin", password="open sesame"),
            {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        ),
        (Credentials(headers={"X-Key": "k", "CF-Id": "c"}), {"x-key": "k", "cf-id": "c"}),
        (Credentials(), {"authorization": None}),
    ],
)
async def test_credentials_go_with_every_request(credentials: Credentials, expected: dict[str, str | None]) -> None:
    async def script(server: RawServer, link: Link) -> None:
        while (request := await link.read_request()) is not None:
            server.requests.append(request)
            await link.answer(b"", "401 Unauthorized")

    async with raw_server(script) as server, client_of(server.url, credentials=credentials) as client:
        with pytest.raises(BackendRefused):
            await client.ping()
        with pytest.raises(BackendRefused):
            await client.submit(PROMPT, prompt_id="x")
        refused = await anext(client.listen())

    assert isinstance(refused.error, BackendRefused)  # type: ignore[union-attr]
    assert [request.target.partition("?")[0] for request in server.requests] == ["/prompt", "/prompt", "/ws"]
    for request in server.requests:
        assert {name: request.headers.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(headers={"Host": "x"}),
        Credentials(headers={"Transfer-Encoding": "chunked"}),
        Credentials(headers={"X Key": "v"}),
        Credentials(headers={"": "v"}),
        Credentials(headers={"X-Key": "v\r\nX-Other: w"}),
        Credentials(bearer_token="t\n"),
    ],
)
def test_credentials_that_would_change_the_request_are_refused(credentials: Credentials) -> None:
    with pytest.raises(InvalidRequest):
        client_of("http://h", credentials=credentials)


def test_a_base_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidUrl) as caught:
        client_of("http://me:s3cret@host:8188")

    assert "s3cret" not in str(caught.value)


async def test_a_closed_client_says_so() -> None:
    client = client_of("http://127.0.0.1:9")
    await client.aclose()

    with pytest.raises(BackendUnreachable, match="closed"):
        await client.ping()


async def test_closing_ends_what_is_under_way() -> None:
    arrived = asyncio.Event()

    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        arrived.set()
        await link.reader.read()

    async with raw_server(script) as server:
        client = client_of(server.url)
        question = asyncio.create_task(client.ping())
        await arrived.wait()
        await client.aclose()
        with pytest.raises(ConnectionLost):
            await question
