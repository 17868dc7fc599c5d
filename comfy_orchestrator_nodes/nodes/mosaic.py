"""The previews of several jobs as one picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image

EDGE = 512
"""Pixels of the longer edge of the whole."""
MOST = 16
"""How many previews are shown; the canvas node is small."""
_MAX_PIXELS = 1 << 24
_GAP = 4


def mosaic(previews: Sequence[bytes]) -> Image.Image | None:
    """Return the previews side by side, in their order; None if none of them can be read.

    Args:
        previews: encoded images, as backends sent them: what is no image, or is absurdly large, is left out.
    """
    images = [image for preview in previews[:MOST] if (image := _decoded(preview)) is not None]
    if len(images) < 2:
        return images[0] if images else None
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    cell = EDGE // columns
    sheet = Image.new("RGB", (columns * cell, rows * cell))
    for number, image in enumerate(images):
        image.thumbnail((cell - _GAP, cell - _GAP))
        left = number % columns * cell + (cell - image.width) // 2
        top = number // columns * cell + (cell - image.height) // 2
        sheet.paste(image, (left, top))
    return sheet


def _decoded(preview: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(preview), formats=("JPEG", "PNG", "WEBP")) as image:
            if image.width * image.height > _MAX_PIXELS:
                return None
            image.draft("RGB", (EDGE, EDGE))
            decoded: Image.Image = image.convert("RGB")
            return decoded
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # A preview is a courtesy: a backend that sends nonsense costs a picture, not the job.
        return None
