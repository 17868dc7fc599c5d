"""What a GPU's name says about its speed, before anything ran on it."""

from __future__ import annotations

import math
import re

# Dense FP16 tensor throughput with FP32 accumulation, in TFLOPS, from the makers' data sheets. Longer names first.
_TFLOPS = (
    ("5090", 209.5), ("5080", 112.6), ("5070 ti", 87.9), ("5070", 61.7), ("5060 ti", 47.4),
    ("4090", 165.2), ("4080", 97.5), ("4070 ti", 80.2), ("4070", 58.3), ("4060 ti", 44.1), ("4060", 30.2),
    ("3090 ti", 80.0), ("3090", 71.0), ("3080 ti", 68.2), ("3080", 59.5), ("3070 ti", 43.5), ("3070", 40.6),
    ("3060 ti", 32.4), ("3060", 25.5), ("3050", 18.2),
    ("2080 ti", 53.8), ("2080", 40.3), ("2070", 29.9), ("2060", 25.8),
    ("rtx 6000 ada", 364.2), ("rtx a6000", 154.8), ("rtx a5000", 111.1), ("rtx a4000", 76.7),
    ("h200", 989.4), ("h100", 989.4), ("a100", 312.0), ("l40s", 362.1), ("l40", 181.1), ("a40", 149.7), ("a10", 125.0),
    ("l4", 121.0), ("v100", 125.0), ("t4", 65.0),
)  # fmt: skip
_USUAL_TFLOPS = 60.0
_TRUST = 0.7
"""Memory and the parts that do not scale make run times differ less than throughput."""
_CPU_SPEED = -3.5
_LAPTOP = math.log(0.7)
_PATTERNS = tuple((re.compile(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])"), tflops) for name, tflops in _TFLOPS)


def guess_speed(gpu: str) -> float | None:
    """Return the natural logarithm of a device's speed relative to a usual GPU, or None if its name says nothing."""
    name = gpu.lower()
    if name.startswith("cpu"):
        return _CPU_SPEED
    for pattern, tflops in _PATTERNS:
        if pattern.search(name):
            return _TRUST * math.log(tflops / _USUAL_TFLOPS) + (_LAPTOP if "laptop" in name else 0.0)
    return None
