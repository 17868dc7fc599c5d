"""Who may use the agent's routes: whoever has the token, and without it the owner of this machine.

A request without a token must come from this machine, and show no sign of a proxy or of a foreign web page
(``docs/adr/0111-one-token-for-each-peer.md``).
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web

from .errors import ForeignPage, RequestRefused, TokenWanted, TokenWrong, TooManyFailures
from .token import Token

TOKEN_HEADER = "X-Orchestrator-Token"
CHANGE_HEADER = "X-Orchestrator"
_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
_SAFE_METHODS = frozenset({"GET", "HEAD"})

FAILURES = 10
WINDOW_S = 60.0
_ADDRESSES = 4096
"""How many are remembered: the longest silent are forgotten first, so that nobody can fill the memory."""


class Access:
    """Decides on each request. Lives on the server's loop."""

    def __init__(self, token: Token, *, trust_loopback: bool, clock: Callable[[], float]) -> None:
        """Take the token, whether its owner's machine needs none, and a monotonic clock in seconds."""
        self.token = token
        self._trust_loopback = trust_loopback
        self._failures = Failures(clock)

    def problem(self, request: web.Request) -> RequestRefused | None:
        """Return why ``check`` would refuse a request, or None if it would not."""
        try:
            self.check(request)
        except RequestRefused as refusal:
            return refusal
        return None

    def check(self, request: web.Request) -> None:
        """Let a request through that has the token or comes from the owner.

        Raises:
            TokenWrong: it has a token, but not this peer's; from wherever it comes.
            TooManyFailures: the same, and too often.
            TokenWanted: it has none and comes from elsewhere.
            ForeignPage: it has none and was made by another page in a browser.
        """
        given = request.headers.get(TOKEN_HEADER)
        if given is None:
            self.check_owner(request)
            return
        if self.token.matches(given):
            return
        self._failures.note(request.remote or "")
        raise TokenWrong(
            "This is not the peer's token. It is shown in the peer's own sidebar and kept in its folder "
            "user/__comfy_orchestrator_agent; enter it for this backend."
        )

    def check_owner(self, request: web.Request) -> None:
        """Let a request through that comes from this machine itself, by a program or this peer's own page.

        Raises:
            TokenWanted: it comes from elsewhere, or may.
            ForeignPage: it was made by another page in a browser.
        """
        if not self._trust_loopback or not _from_this_machine(request):
            raise TokenWanted(
                "This peer wants its token from other machines: it is shown in its own sidebar and kept in its folder "
                f"user/__comfy_orchestrator_agent. Send it as {TOKEN_HEADER}.",
                header=TOKEN_HEADER,
            )
        if _from_foreign_page(request):
            raise ForeignPage("A page of another origin cannot use this peer.")
        if request.method not in _SAFE_METHODS and request.headers.get(CHANGE_HEADER) != "1":
            raise ForeignPage(f"A request that changes something must carry '{CHANGE_HEADER}: 1'.")


def _from_this_machine(request: web.Request) -> bool:
    # request.remote would believe a proxy's word, if a middleware asked aiohttp to.
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not isinstance(peer, tuple) or not _is_loopback(str(peer[0])):
        return False
    if any(name in request.headers for name in _PROXY_HEADERS) or request.version < (1, 1):
        return False
    return _is_loopback_host(request.headers.get("Host", ""))


def _from_foreign_page(request: web.Request) -> bool:
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower()


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def _is_loopback_host(host: str) -> bool:
    """Whether ``Host`` names this machine: a name of another domain may have been pointed here to deceive a browser."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and (name == "localhost" or name.endswith(".localhost") or _is_loopback(name))


class Failures:
    """Counts wrong tokens for each address over a sliding minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def note(self, address: str) -> None:
        """Count one more.

        Raises:
            TooManyFailures: there were enough already; this one is not counted, so that waiting ends it.
        """
        now = self._clock()
        times = [time for time in self._times.pop(address, []) if now - time < WINDOW_S]
        self._times[address] = times
        if len(times) >= FAILURES:
            wait_s = max(1, round(WINDOW_S - (now - times[0])))
            raise TooManyFailures(
                f"Too many wrong tokens came from {address or 'there'}: try again in {wait_s} s.", retry_after_s=wait_s
            )
        times.append(now)
        while len(self._times) > _ADDRESSES:
            self._times.popitem(last=False)
