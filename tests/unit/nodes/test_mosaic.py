"""What the previews of several jobs look like on one node."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from comfy_orchestrator_nodes.nodes.mosaic import EDGE, MOST, mosaic

COLOURS = ["#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff"]


def encoded(colour: str, size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def test_one_preview_is_shown_as_it_is() -> None:
    found = mosaic([encoded("#ff0000", (40, 20))])
    assert found is not None
    assert found.size == (40, 20)


@pytest.mark.parametrize(("count", "columns", "rows"), [(2, 2, 1), (3, 2, 2), (5, 3, 2)])
def test_several_stand_side_by_side_in_their_order(count: int, columns: int, rows: int) -> None:
    found = mosaic([encoded(colour, (900, 900)) for colour in COLOURS[:count]])
    assert found is not None
    cell = EDGE // columns
    assert found.size == (columns * cell, rows * cell)
    centres = [found.getpixel((n % columns * cell + cell // 2, n // columns * cell + cell // 2)) for n in range(count)]
    assert [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in centres] == COLOURS[:count]  # type: ignore[misc]


def test_no_more_are_shown_than_can_be_seen() -> None:
    found = mosaic([encoded("#ff0000")] * 40)
    assert found is not None
    assert found.size == (EDGE, EDGE)
    assert EDGE // 4 * 4 == EDGE
    assert MOST == 16


@pytest.mark.parametrize(
    "broken", [b"", b"no image", encoded("#ff0000", kind="JPEG")[:60], encoded("#ff0000", (9000, 9000))]
)
def test_what_is_no_preview_is_left_out(broken: bytes) -> None:
    assert mosaic([broken]) is None
    found = mosaic([broken, encoded("#00ff00", (10, 10))])
    assert found is not None
    assert found.getpixel((5, 5)) == (0, 255, 0)
