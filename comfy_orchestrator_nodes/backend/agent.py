"""A backend's agent, which is this pack on the other side: whether there is one, and whether it works with us."""

from __future__ import annotations

from http import HTTPStatus

from ..domain import Agent, Json
from ..errors import BackendFault, BackendRefused, ProtocolViolation
from .fields import clipped, obj, text, whole
from .http import Http

PROTOCOL_MAJOR = 1
"""Of ``docs/agent-protocol.md``: an agent of another major version is not used."""

VALUE_FORMAT = 1
"""The format of values that is read and written here."""

TOKEN_HEADER = "X-Orchestrator-Token"

NEEDED = frozenset({"blobs", "blobs.range", "values"})
"""Capabilities without which values cannot move."""

_PATH = "/orchestrator/agent"
_TEXT_LIMIT = 100


def agent_headers(token: str | None) -> dict[str, str]:
    """Return what every request to an agent carries beside the backend's own headers."""
    headers = {"X-Orchestrator": "1"}
    if token:
        headers[TOKEN_HEADER] = token
    return headers


async def introduce(http: Http, token: str | None) -> Agent | None:
    """Return how a backend's agent introduces itself, or None where the backend has none.

    Whatever answers there in another way is no agent: the backend is a plain ComfyUI, and as such it may be sound.

    Raises:
        BackendError: no answer came at all.
    """
    timeout = http.timeout(http.timeouts.control_s)
    try:
        async with http.request("GET", _PATH, timeout=timeout, headers=agent_headers(token)) as response:
            if response.status != HTTPStatus.OK:
                return None
            answer = await http.read_json(response, http.limits.answer_bytes)
        return http.parsed(_PATH, lambda value: parse_agent(value, has_token=bool(token)), answer)
    except (ProtocolViolation, BackendRefused, BackendFault):
        return None


def parse_agent(value: Json, *, has_token: bool) -> Agent:
    """Parse the handshake.

    Raises:
        Malformed: it is none.
    """
    data = obj(value, "the handshake")
    protocol = obj(data.get("protocol"), "protocol")
    major, minor = whole(protocol.get("major"), "major"), whole(protocol.get("minor"), "minor")
    listed = data.get("capabilities")
    found = frozenset(one for one in listed if isinstance(one, str)) if isinstance(listed, list) else frozenset()
    version = clipped(data.get("agent_version"), _TEXT_LIMIT)
    problem = _problem(data, major, found, has_token=has_token)
    return Agent(
        version=version,
        protocol=f"{major}.{minor}",
        instance_id=clipped(text(data.get("instance_id"), "instance_id"), _TEXT_LIMIT),
        capabilities=found,
        trusted=not problem,
        problem=problem,
    )


def _problem(data: Json, major: int, found: frozenset[str], *, has_token: bool) -> str:
    if major != PROTOCOL_MAJOR:
        older = "that server" if major < PROTOCOL_MAJOR else "this one"
        return f"its agent speaks protocol {major}, and this server {PROTOCOL_MAJOR}: update the pack on {older}"
    values = data.get("values")
    if not found >= NEEDED or not isinstance(values, dict) or values.get("format") != VALUE_FORMAT:
        return "its agent moves no values of the kind that this server knows: update the pack on both"
    access = data.get("access")
    if isinstance(access, dict) and access.get("granted") is True:
        return ""
    if has_token:
        return "its agent refuses the token: copy it again from that server's console or sidebar"
    return "its agent wants its token: copy it from that server's console or sidebar"
