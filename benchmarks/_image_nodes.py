"""Nodes that make, pass on and take images on a server, and the workflows in which they do so, for benchmarks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.backend import codecs
from comfy_orchestrator_nodes.domain import Definition, FileRef, Output, Parameter, Value
from comfy_orchestrator_nodes.service import Service
from tools.devtools.instances import Farm
from tools.devtools.paths import ROOT

Pixels = npt.NDArray[np.float32]

IMAGES = 32
"""How many images one job can take."""

_NODES = """
import sys, hashlib
sys.path.insert(0, "{root}")
from benchmarks._images import image
import torch

class Make:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_IS_LIST = "benchmark", "run", ("IMAGE", "INT"), (True, False)
    @classmethod
    def INPUT_TYPES(cls):
        whole = ("INT", {{"default": 0, "max": 1 << 40}})
        return {{"required": {{"kind": ("STRING", {{}}), "seed": whole, "count": whole}}}}
    def run(self, kind, seed, count):
        return ([torch.from_numpy(image(kind, seed + n)) for n in range(count)], count)

class Same:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("IMAGE",)
    INPUT_IS_LIST, OUTPUT_IS_LIST = True, (True,)
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"images": ("IMAGE",)}}}}
    def run(self, images):
        return ([image.clone() for image in images],)

class Take:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("INT", "STRING")
    @classmethod
    def INPUT_TYPES(cls):
        images = {{f"i{{n}}": ("IMAGE",) for n in range({images})}}
        return {{"required": {{"hashed": ("BOOLEAN", {{}})}}, "optional": images}}
    def run(self, hashed, **images):
        parts = [hashlib.sha256(t.contiguous().numpy()).hexdigest() for t in images.values()] if hashed else []
        return (len(images), " ".join(parts))

NODE_CLASS_MAPPINGS = {{"BenchMake": Make, "BenchSame": Same, "BenchTake": Take}}
"""


def install(farm: Farm, name: str) -> None:
    """Put the nodes into the folder of an instance that is not started yet."""
    folder = farm.directory / name / "custom_nodes" / "image-nodes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(_NODES.format(root=ROOT.as_posix(), images=IMAGES), encoding="utf-8")


def make() -> Definition:
    """Return the workflow that makes ``count`` images of a seed and the ones behind it."""
    return Definition(
        "",
        0,
        "make",
        {"m": {"class_type": "BenchMake", "inputs": {"kind": "noisy", "seed": 0, "count": 1}}},
        tuple(
            Parameter(name, type_, "m", name) for name, type_ in (("kind", "STRING"), ("seed", "INT"), ("count", "INT"))
        ),
        (Output("images", "IMAGE", "m", 0), Output("count", "INT", "m", 1)),
    )


def chain() -> Definition:
    """Return the workflow that passes images on."""
    return Definition(
        "",
        0,
        "chain",
        {"i": _given("image"), "s": {"class_type": "BenchSame", "inputs": {"images": ["i", 0]}}},
        (Parameter("image", "IMAGE", "i", "value", required=True),),
        (Output("image", "IMAGE", "s", 0),),
    )


def take() -> Definition:
    """Return the workflow that takes images, and tells their hashes if it is asked to."""
    names = [f"i{n}" for n in range(IMAGES)]
    links = {name: [name, 0] for name in names}
    return Definition(
        "",
        0,
        "take",
        {
            "t": {"class_type": "BenchTake", "inputs": {"hashed": False, **links}},
            **{name: _given(name) for name in names},
        },
        (Parameter("hashed", "BOOLEAN", "t", "hashed"), *(Parameter(n, "IMAGE", n, "value") for n in names)),
        (Output("count", "INT", "t", 0), Output("hashes", "STRING", "t", 1)),
    )


def decoded(service: Service, value: Value) -> list[Pixels]:
    """Return a result's images ``(1, H, W, 3)``: of as many blobs as it has, or of a batch of PNGs."""
    if not value.is_blob:
        files = [service.artifacts.open(ref) for ref in value.files]
        try:
            return [codecs.read(files, value.type)]
        finally:
            for file in files:
                file.close()
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda ref: _decoded_one(service, ref), value.files))


def _decoded_one(service: Service, ref: FileRef) -> Pixels:
    with service.artifacts.open(ref) as file:
        image: Pixels = wire.decode(file)
        return image


def _given(name: str) -> dict[str, Any]:
    return {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": name, "type": "IMAGE"}}
