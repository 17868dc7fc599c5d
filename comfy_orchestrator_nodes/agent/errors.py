"""What can go wrong in the agent.

    AgentError
    ├── WireError
    │   ├── MalformedValue       what was read is no encoded value
    │   └── UnsupportedValue     what was to be written cannot travel

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
