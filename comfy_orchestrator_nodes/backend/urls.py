"""Base URLs of backends: what is accepted, and how the addresses of routes are made from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from yarl import URL

from ..errors import InvalidUrl

UNREADABLE = (ValueError, IndexError)
"""What yarl raises for text that is no URL; IndexError for brackets before the host (``http://[]@``)."""

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?")
"""A name after IDNA, an IPv4 address, or an IPv6 address with its zone."""


def normalize_base_url(text: str) -> str:
    """Return the one spelling of a backend's address: scheme, host, port, path prefix, no trailing slash.

    An address without a scheme (``192.168.1.5:8188``) means http.

    Raises:
        InvalidUrl: it is no http(s) address of a server, or it holds credentials, a query or a fragment.
    """
    cleaned = text.strip()
    if not cleaned:
        raise InvalidUrl("The address is empty. Give the backend's URL, such as http://192.168.1.5:8188")
    if any(ch.isspace() or ord(ch) < 0x20 or ord(ch) == 0x7F for ch in cleaned):
        raise InvalidUrl("The address holds spaces or control characters. Give a URL such as http://192.168.1.5:8188")
    if "://" not in cleaned:
        cleaned = f"http://{cleaned}"
    url = _parse(cleaned)
    # yarl lowers the host, but not always one that it has to encode.
    host = (url.raw_host or "").lower()
    port = "" if url.explicit_port is None or url.is_default_port() else f":{url.explicit_port}"
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}{port}{url.raw_path.rstrip('/')}"


def route_url(base_url: str, path: str, query: Mapping[str, str] | None = None) -> URL:
    """Return the address of a route. ``path`` starts with a slash and is already quoted (see ``segment``)."""
    tail = f"?{urlencode(query, quote_via=quote)}" if query else ""
    return URL(f"{base_url}{path}{tail}", encoded=True)


def socket_url(base_url: str, client_id: str) -> URL:
    """Return the address of the WebSocket for this client id: ws for http, wss for https."""
    url = route_url(base_url, "/ws", {"clientId": client_id})
    return url.with_scheme("wss" if url.scheme == "https" else "ws")


def segment(text: str) -> str:
    """Quote one path segment, so that a slash or a question mark in it stays part of the name."""
    return quote(text, safe="")


def without_secrets(text: str) -> str | None:
    """Return an absolute address without user, query and fragment, for people to see; None for anything else."""
    try:
        url = URL(text)
        return str(url.with_user(None).with_query(None).with_fragment(None)) if url.absolute else None
    except UNREADABLE:
        return None


def _parse(text: str) -> URL:
    try:
        url = URL(text)
        host, port = url.raw_host, url.explicit_port
    except UNREADABLE:
        # The text itself is not repeated: it may hold a password.
        raise InvalidUrl("The address is not a valid URL. Give one such as http://192.168.1.5:8188") from None
    if url.scheme not in ("http", "https"):
        raise InvalidUrl(f"A backend is reached by http or https, not {url.scheme!r}.")
    if not host:
        raise InvalidUrl("The address names no host. Give a URL such as http://192.168.1.5:8188")
    if not _HOST.fullmatch(host):
        raise InvalidUrl("The address names a host that cannot exist. Give a URL such as http://192.168.1.5:8188")
    if port == 0:
        raise InvalidUrl("Port 0 cannot be connected to. Give the port that ComfyUI listens on, usually 8188.")
    if url.raw_user is not None or url.raw_password is not None:
        raise InvalidUrl("Put the user name and password into the backend's credentials, not into its URL.")
    if url.raw_query_string or url.raw_fragment:
        raise InvalidUrl("A backend's URL ends with its path: remove everything from '?' or '#' on.")
    return url
