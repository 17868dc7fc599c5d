"""How the agent introduces itself, and the routes by which its owner sees and changes its token."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from . import AGENT_VERSION
from .access import TOKEN_HEADER, Access
from .routing import PREFIX, Json, Part, answer

PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 0


class Introduction:
    """The handshake: what this agent is and can do, and whether it lets the caller in."""

    def __init__(self, parts: Sequence[Part], access: Access, instance_id: str) -> None:
        self._access = access
        self._told: dict[str, Json] = {
            "protocol": {"major": PROTOCOL_MAJOR, "minor": PROTOCOL_MINOR},
            "agent_version": AGENT_VERSION,
            "instance_id": instance_id,
            "capabilities": [name for part in parts for name in part.capabilities],
        }
        for part in parts:
            self._told |= part.facts

    def part(self) -> Part:
        """Return the handshake's route, for everybody."""
        return Part(open_routes=[web.get(PREFIX, self.get_introduction)])

    async def get_introduction(self, request: web.Request) -> web.StreamResponse:
        """Answer what this agent is."""
        problem = self._access.problem(request)
        access = {"header": TOKEN_HEADER, "granted": problem is None, "problem": problem.code if problem else None}
        return answer({**self._told, "access": access})


class TokenRoutes:
    """The token, for the eyes of this machine's owner only."""

    def __init__(self, access: Access) -> None:
        self._token = access.token

    def part(self) -> Part:
        """Return the routes of the token."""
        path = PREFIX + "/token"
        # Read by POST too: the header that it needs cannot be sent by another page, whatever a browser tells of itself.
        return Part(
            owner_routes=[
                web.post(path, self.post_token),
                web.post(path + "/rotate", self.post_rotate),
                web.delete(path, self.delete_token),
            ],
        )

    async def post_token(self, _request: web.Request) -> web.StreamResponse:
        """Answer the token; null where it was revoked."""
        return answer({"token": self._token.read()})

    async def post_rotate(self, _request: web.Request) -> web.StreamResponse:
        """Make a new token, which ends the old one, and answer it."""
        return answer({"token": self._token.rotate()}, status=201)

    async def delete_token(self, _request: web.Request) -> web.StreamResponse:
        """End the token: nobody but this machine gets in until a new one is made."""
        self._token.revoke()
        return answer({"token": None})
