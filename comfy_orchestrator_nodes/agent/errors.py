"""What can go wrong in the agent.

    AgentError
    ├── WireError
    │   ├── MalformedValue       what was read is no encoded value
    │   └── UnsupportedValue     what was to be written cannot travel
    ├── RequestRefused
    │   ├── MalformedRequest     it has not the documented form
    │   ├── TokenWanted          it needs the token
    │   ├── TokenWrong           its token is not that of this peer
    │   ├── TooManyFailures      its sender gave too many wrong tokens
    │   ├── ForeignPage          a web page of somebody else made it
    │   └── Busy                 too many of its kind are under way
    ├── BlobError
    │   ├── BlobMissing          there is no such blob
    │   ├── BlobTooLarge         it is larger than any may be
    │   ├── BlobLeased           somebody needs it
    │   ├── HashWrong            what came is not what was announced
    │   ├── OffsetWrong          the upload does not go on where it stopped
    │   ├── RangeWrong           the range lies outside the blob
    │   ├── UploadStalled        nothing came for too long
    │   ├── BlobsFull            leased blobs take up the size limit
    │   └── DiskFull             there is no space left
    └── SetupFailed              a folder or file of the agent's own cannot be used

Each has the ``code`` and the ``status`` under which a route answers it, and its message says how to mend it.
"""

from __future__ import annotations

from typing import Any, ClassVar


class AgentError(Exception):
    """The root: anything the agent refuses or cannot do."""

    code: ClassVar[str] = "agent_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class SetupFailed(AgentError):
    """A folder or file of the agent's own cannot be used."""

    code = "setup_failed"


# --- values ----------------------------------------------------------------------------------------------------------


class WireError(AgentError):
    """A value could not be encoded or decoded."""


class MalformedValue(WireError):
    """Bytes are not an encoded value, or not one that this version reads. Nothing was allocated for their content."""

    code = "malformed_value"
    status = 422


class UnsupportedValue(WireError):
    """A value, or a part of it, cannot travel; ``path`` says which part and ``python_type`` what it is."""

    code = "unsupported_value"
    status = 422


# --- requests --------------------------------------------------------------------------------------------------------


class RequestRefused(AgentError):
    """A request is not let through."""


class MalformedRequest(RequestRefused):
    """A request does not have the documented form."""

    code = "malformed_request"
    status = 400


class TokenWanted(RequestRefused):
    """A request from elsewhere carries no token."""

    code = "token_wanted"
    status = 401


class TokenWrong(RequestRefused):
    """A request carries another token than this peer's."""

    code = "token_wrong"
    status = 401


class TooManyFailures(RequestRefused):
    """An address gave too many wrong tokens; ``retry_after_s`` tells when it is listened to again."""

    code = "too_many_failures"
    status = 429


class ForeignPage(RequestRefused):
    """A browser made the request for a page that is not this peer's own."""

    code = "foreign_page"
    status = 403


class Busy(RequestRefused):
    """Too many requests of this kind are under way and waiting."""

    code = "busy"
    status = 503


# --- blobs -----------------------------------------------------------------------------------------------------------


class BlobError(AgentError):
    """Something about a blob."""


class BlobMissing(BlobError):
    """There is no such blob (any more)."""

    code = "blob_missing"
    status = 404


class BlobTooLarge(BlobError):
    """A blob is larger than any may be here."""

    code = "blob_too_large"
    status = 413


class BlobLeased(BlobError):
    """Somebody else leases the blob."""

    code = "blob_leased"
    status = 409


class HashWrong(BlobError):
    """What was sent has another hash than its name. It was deleted."""

    code = "hash_wrong"
    status = 422


class OffsetWrong(BlobError):
    """An upload does not go on where it stopped; ``offset_bytes`` tells where that is."""

    code = "offset_wrong"
    status = 409


class RangeWrong(BlobError):
    """The wanted range lies outside the blob."""

    code = "range_wrong"
    status = 416


class UploadStalled(BlobError):
    """Nothing of the body came for too long, or the connection was cut; what came is kept for a while."""

    code = "upload_stalled"
    status = 408


class BlobsFull(BlobError):
    """Leased blobs leave too little of the size limit."""

    code = "blobs_full"
    status = 507


class DiskFull(BlobError):
    """There is no space left on the disk."""

    code = "disk_full"
    status = 507
