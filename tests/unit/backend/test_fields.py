"""Foreign JSON: what cannot be text becomes harmless before anything is made of it."""

from __future__ import annotations

import json

import pytest

from comfy_orchestrator_nodes.backend.fields import Malformed, loads


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        (r'"\ud83d\ude00"', "😀"),
        (r'"\ud83d"', "?"),
        (r'"\ude00"', "?"),
        (r'"\uDE00\uD83D"', "??"),
        (r'"\ud83d\ud83d\ude00"', "?😀"),
        (r'"\ud83d\ude00\ude00"', "😀?"),
        (r'"\\ud83d"', r"\ud83d"),
        (r'{"\ud83d": NaN}', None),
    ],
)
def test_halves_of_surrogate_pairs_become_question_marks(source: str, meant: str | None) -> None:
    parsed = loads(source.encode())
    json.dumps(parsed, ensure_ascii=False).encode()
    assert meant is None or parsed == meant


def test_a_half_that_is_written_as_bytes_is_no_utf_8() -> None:
    with pytest.raises(Malformed):
        loads(b'"\xed\xa0\x80"')


def test_a_byte_order_mark_is_no_part_of_the_document() -> None:
    assert loads(b"\xef\xbb\xbf[1]") == [1]
