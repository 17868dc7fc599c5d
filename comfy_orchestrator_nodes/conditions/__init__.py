"""The expression language of Condition nodes: small, typed, without loops or access to Python. Pure.

``a.width < 1024 and not b.is_blank`` is read by a parser of its own (``parser.py``) into nodes of its own
(``tree.py``) and evaluated over plain values (``evaluate.py``). The language is told in ``docs/conditions.md``.
"""

from .condition import Condition, compile_condition
from .reference import Entry, Reference, reference
from .values import FIELDS, Fields, Plain

__all__ = ["FIELDS", "Condition", "Entry", "Fields", "Plain", "Reference", "compile_condition", "reference"]
