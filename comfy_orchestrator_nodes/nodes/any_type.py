"""The type that fits every other, for slots whose type only the definition knows."""

from __future__ import annotations


class AnyType(str):
    """A ComfyUI type name that never differs from another.

    ComfyUI compares types by ``!=`` (``validate_node_input`` in comfy_execution/validation.py), and keeps doing so for
    classes like this one; versions before 0.4 know no wildcard of their own.
    """

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        """Return False: nothing differs from any type."""
        return False

    def __eq__(self, other: object) -> bool:
        """Compare as text, so that tables keyed by type still work."""
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        """Hash as text."""
        return str.__hash__(self)


ANY = AnyType("*")
