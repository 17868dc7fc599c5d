"""Images made of seeds, the same in every process: smooth ones, and noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def image(kind: str, seed: int, side: int = 1024) -> npt.NDArray[np.float32]:
    """Return an image ``(1, side, side, 3)`` float32 that needs more than 8 bits."""
    generator = np.random.default_rng(seed)
    if kind == "noisy":
        return generator.random((1, side, side, 3), dtype=np.float32)
    line = np.linspace(0, 1, side, dtype=np.float32)
    strength = generator.random(3, dtype=np.float32)
    smooth: npt.NDArray[np.float32] = np.multiply.outer(line[:, None] * line[None, :], strength)[None]
    return smooth.astype(np.float32)
