"""What a request must satisfy before a handler sees it: the header against forged requests, media type, size, depth.

A page of another origin can make a browser send GET and "simple" POST requests to this server without asking. It cannot
set a header of ours, nor the type ``application/json``, without a preflight that ComfyUI does not grant. So every
request that changes something must carry both (``docs/adr/0054-a-header-against-forged-requests.md``).
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any

from aiohttp import web

from .refusals import BodyTooLarge, HeaderMissing, MalformedRequest, MediaTypeRefused

HEADER = "X-Orchestrator"
HEADER_VALUE = "1"

MAX_BODY_BYTES = 32 << 20
"""A JSON body; the largest published workflows are a few MB."""

MAX_DEPTH = 100
"""How deep a JSON body may be nested; the deepest workflows reach about 20."""

_THREAD_FROM_BYTES = 256 << 10
"""Bodies from this size on are parsed in a thread, so that the server goes on meanwhile."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


def check_header(request: web.Request) -> None:
    """Refuse a changing request that any web page could have sent.

    Raises:
        HeaderMissing: it does not carry the header.
    """
    if request.headers.get(HEADER) != HEADER_VALUE:
        raise HeaderMissing(f"Requests that change something must carry the header '{HEADER}: {HEADER_VALUE}'.")


def check_json_type(request: web.Request) -> None:
    """Refuse a body that is not declared as JSON.

    Raises:
        MediaTypeRefused: it is declared as something else, or not at all.
    """
    if request.content_type != "application/json" or "Content-Type" not in request.headers:
        raise MediaTypeRefused("This address takes JSON: send 'Content-Type: application/json'.")


def media_type_of(request: web.Request) -> str:
    """Return the media type of an upload, without parameters.

    Raises:
        MediaTypeRefused: there is none, or it is not one file's.
    """
    declared = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(declared):
        raise MediaTypeRefused("Say what the file is, such as 'Content-Type: image/png'.")
    if declared.startswith("multipart/") or declared == "application/x-www-form-urlencoded":
        raise MediaTypeRefused(f"The file is the whole body: send it as it is with its own media type, not {declared}.")
    return declared


async def read_json(request: web.Request) -> Any:
    """Return the parsed body; an empty one counts as ``{}``.

    Raises:
        BodyTooLarge: it has more than ``MAX_BODY_BYTES``.
        MalformedRequest: it is not JSON, is nested too deeply, or holds a number that JSON does not have.
    """
    body = await _read(request)
    if not body:
        return {}
    if len(body) < _THREAD_FROM_BYTES:
        return parse_json(body)
    return await asyncio.to_thread(parse_json, body)


def parse_json(body: bytes) -> Any:
    """Return a JSON document.

    Raises:
        MalformedRequest: it is not JSON (UTF-8), is nested too deeply, or holds a number that JSON does not have.
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise MalformedRequest(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise MalformedRequest(f"The body is not JSON: {error}.") from None
    if _SURROGATE.search(body):
        _refuse_half_characters(document)
    if _deeper_than(document, MAX_DEPTH):
        raise MalformedRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")
    return document


async def _read(request: web.Request) -> bytes:
    declared = request.content_length
    if declared is not None and declared > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES >> 20} MiB.", limit_bytes=MAX_BODY_BYTES)


def _refuse_half_characters(document: Any) -> None:
    """Refuse texts with half of a surrogate pair: no file, hash or database could hold them."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedRequest("The body holds half of a surrogate pair, which is no character.") from None
    except RecursionError:
        raise MalformedRequest(f"The body is nested deeper than {MAX_DEPTH} levels.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _deeper_than(document: Any, limit: int) -> bool:
    level = [document]
    for _ in range(limit):
        level = [child for value in level for child in _children(value)]
        if not level:
            return False
    return True


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, (dict, list))]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, (dict, list))]
    return ()
