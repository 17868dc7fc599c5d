"""How stored files look in requests and answers."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from pydantic import Field, StrictInt

from ..domain import FileRef
from .schemas import PREFIX, Body, Query, View

MediaType = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$"),
    Field(max_length=255),
]
"""Of one file, without parameters. Nothing that could end a header and begin another."""


class FileBody(Body):
    """A file that was uploaded, or that a job made."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[StrictInt, Field(ge=0, le=2**53)]
    media_type: MediaType

    def to_domain(self) -> FileRef:
        """Return it as the domain has it."""
        return FileRef(self.sha256, self.size_bytes, self.media_type)


class FileView(View):
    """A stored file, and where it can be fetched, relative to this server."""

    sha256: str
    size_bytes: int
    media_type: str
    url: str

    @classmethod
    def of(cls, ref: FileRef) -> FileView:
        """Return a reference as it is shown."""
        url = f"{PREFIX}/values/{ref.sha256}?media_type={quote(ref.media_type, safe='/')}"
        return cls(sha256=ref.sha256, size_bytes=ref.size_bytes, media_type=ref.media_type, url=url)


class DownloadQuery(Query):
    """How the file is to be served. The store knows contents, not what they are."""

    media_type: MediaType = Field(
        default="application/octet-stream",
        description="Images, audio and video are shown; anything else is offered for saving.",
    )
