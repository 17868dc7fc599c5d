"""How jobs are run, as it is said in requests: alike for one job, for a definition, and in the settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictFloat, StrictInt

Selector = Annotated[str, Field(min_length=1, max_length=200)]
"""``auto``, a backend's id or name, or ``tag:NAME``."""

OnFailure = Literal["fail", "drop", "ask"]
Attempts = Annotated[StrictInt, Field(ge=1, le=100)]
TimeLimit = Annotated[StrictFloat, Field(ge=1, le=30 * 86400)]
Prefer = Annotated[
    tuple[Selector, ...],
    Field(max_length=50, description="Ids, names or tag:NAME of backends to be taken while they are not much later."),
]
