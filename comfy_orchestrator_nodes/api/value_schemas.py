"""How stored files look in requests and answers."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from pydantic import Field, StrictInt

from ..domain import BLOB_MEDIA_TYPE, FileRef
from ..orchestrator.pictures import is_pictured
from .schemas import PREFIX, Body, Query, View

MediaType = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$"),
    Field(max_length=255),
]
"""Of one file, without parameters. Nothing that could end a header and begin another."""


MAX_PREVIEWED_BYTES = 256 << 20
"""No preview is offered of larger values: one that stayed on its backend would have to be fetched as a whole."""

_PICTURED_TYPES = frozenset({"IMAGE", "MASK"})
_PLAYED_TYPES = frozenset({"AUDIO", "VIDEO"})


class FileBody(Body):
    """A file that was uploaded, or that a job made."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[StrictInt, Field(ge=0, le=2**53)]
    media_type: MediaType
    url: str | None = Field(default=None, description="Not read: a file may be given as it was answered.")
    preview_url: str | None = Field(default=None, description="Not read, like url.")
    playback_url: str | None = Field(default=None, description="Not read, like url.")

    def to_domain(self) -> FileRef:
        """Return it as the domain has it."""
        return FileRef(self.sha256, self.size_bytes, self.media_type)


class FileView(View):
    """A stored file, and where it can be fetched, relative to this server."""

    sha256: str
    size_bytes: int
    media_type: str
    url: str
    preview_url: str | None = Field(description="Where a small picture of it is; null where there is none.")
    playback_url: str | None = Field(description="Where its sound or video is; null where it has none to play.")

    @classmethod
    def of(cls, ref: FileRef, value_type: str = "") -> FileView:
        """Return a reference as it is shown; ``value_type`` is the type of the value that the file belongs to."""
        place, kind = f"{PREFIX}/values/{ref.sha256}", f"media_type={quote(ref.media_type, safe='/')}"
        return cls(
            sha256=ref.sha256,
            size_bytes=ref.size_bytes,
            media_type=ref.media_type,
            url=f"{place}?{kind}",
            preview_url=f"{place}/preview?{kind}" if _has_preview(ref, value_type) else None,
            playback_url=_playback(ref, value_type, place, f"{place}?{kind}"),
        )


def _has_preview(ref: FileRef, value_type: str) -> bool:
    if ref.media_type != BLOB_MEDIA_TYPE:
        return is_pictured(ref.media_type)
    return value_type in _PICTURED_TYPES and ref.size_bytes <= MAX_PREVIEWED_BYTES


def _playback(ref: FileRef, value_type: str, place: str, url: str) -> str | None:
    if ref.media_type == BLOB_MEDIA_TYPE:
        return f"{place}/playback" if value_type in _PLAYED_TYPES else None
    return url if ref.media_type.startswith(("audio/", "video/")) else None


class PreviewQuery(Query):
    """Which picture."""

    media_type: MediaType = Field(
        default=BLOB_MEDIA_TYPE, description="What the file is: a value as agents keep it, or an image."
    )
    index: Annotated[int, Field(ge=0, le=2**31)] = Field(
        default=0, description="Which image of a value that is a batch, counted from 0."
    )


class DownloadQuery(Query):
    """How the file is to be served. The store knows contents, not what they are."""

    media_type: MediaType = Field(
        default="application/octet-stream",
        description="Images, audio and video are shown; anything else is offered for saving.",
    )
