"""JSON as somebody else might send it, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def foreign_json(words: str) -> st.SearchStrategy[Any]:
    """Return any JSON (with NaN, as Python writes it) whose objects use these field names, separated by spaces."""
    names = st.sampled_from(words.split())
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | names,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=15,
    )
