"""Requests that are refused before anything is done with them. They exist on the HTTP side only."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InvalidRequest


class MalformedRequest(InvalidRequest):
    """The body is not JSON, or it or the query does not have the documented form; ``problems`` lists each field."""

    code = "malformed_request"

    def __init__(self, message: str, problems: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message, problems=[{"field": field, "problem": problem} for field, problem in problems])


class HeaderMissing(InvalidRequest):
    """A changing request lacks the header that only scripts of the page's own origin can send."""

    code = "header_missing"


class MediaTypeRefused(InvalidRequest):
    """The Content-Type is not the one that the route takes."""

    code = "media_type_refused"


class BodyTooLarge(InvalidRequest):
    """The body is over the route's size limit."""

    code = "body_too_large"


class MethodNotAllowed(InvalidRequest):
    """The address exists, but not with this method."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"{path} does not take {method}; it takes {', '.join(allowed)}.", method=method, allowed=list(allowed)
        )
        self.allowed = tuple(allowed)


class RangeNotSatisfiable(InvalidRequest):
    """The asked range of bytes lies outside the file."""

    code = "range_not_satisfiable"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The file has {size_bytes} bytes: that range lies outside of it.", size_bytes=size_bytes)
        self.size_bytes = size_bytes
