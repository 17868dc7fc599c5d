"""The pack's nodes on the canvas, composed by mouse, in each front end and renderer."""

from __future__ import annotations

import pytest

from tests.support.canvas import Canvas

pytestmark = [pytest.mark.comfy, pytest.mark.browser]


def test_a_fan_out_can_be_wired_to_a_preview_by_mouse(canvas: Canvas) -> None:
    source = canvas.add_node("EmptyImage", 300, 250)
    fan_out = canvas.add_node("Fan Out", 700, 250)
    shown = canvas.add_node("Preview Image", 1200, 250)
    canvas.connect(source, "IMAGE", fan_out, "value")
    canvas.connect(fan_out, "item", shown, "images")
    assert canvas.prompt()[shown]["inputs"]["images"] == [fan_out, 0]
