from __future__ import annotations

import json

from comfy_orchestrator_nodes import domain
from tools.devtools.paths import ROOT


def test_the_front_end_sorts_types_as_the_server_does() -> None:
    text = (ROOT / "js" / "src" / "api" / "valueTypes.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "file": sorted(domain.FILE_TYPES),
        "tensor": sorted(domain.TENSOR_TYPES),
        "object": sorted(domain.OBJECT_TYPES),
        "scalar": sorted(domain.SCALAR_TYPES),
    }
