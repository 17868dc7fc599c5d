"""What the example workflows are: their nodes and notes, and the definitions that they run. No node needs a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from comfy_orchestrator_nodes.domain import Definition, Output, Parameter

REMOTE = "OrchestratorRemoteWorkflow"

Json = Any
Link = tuple[str, str]
"""A node's key, and the name of one of its outputs."""


@dataclass(frozen=True)
class Box:
    """One node of an example."""

    key: str
    class_type: str
    title: str
    size: tuple[int, int]
    widgets: Mapping[str, Json] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """One workflow: columns of nodes from left to right, and what to do first."""

    name: str
    note: str
    columns: Sequence[Sequence[Box]]


# --- what the examples run


def _image(node_id: str = "1") -> Parameter:
    return Parameter("image", "IMAGE", node_id, "image", "example.png", role="image")


def _node(class_type: str, **inputs: Json) -> dict[str, Json]:
    return {"class_type": class_type, "inputs": inputs}


def _remote_inputs(workflow: str) -> dict[str, Json]:
    return {"workflow": workflow, "backend": "auto", "parameters": '{"in": ["image"], "out": ["image"]}'}


DEFINITIONS = (
    Definition(
        "example-variation",
        1,
        "Example: variation",
        {
            "1": _node("LoadImage", image="example.png"),
            "2": _node("ImageAddNoise", image=["1", 0], seed=1, strength=0.25),
            "3": _node("SaveImage", images=["2", 0], filename_prefix="variation"),
        },
        (_image(), Parameter("seed", "INT", "2", "seed", 1, minimum=0, maximum=(1 << 64) - 1, role="seed")),
        (Output("image", "IMAGE", "2", 0),),
        "Stands for a workflow that makes an image from a seed. It needs no model: it adds noise.",
        ("example",),
    ),
    Definition(
        "example-enlarge",
        1,
        "Example: enlarge",
        {
            "1": _node("LoadImage", image="example.png"),
            "2": _node("ImageScaleBy", image=["1", 0], upscale_method="bicubic", scale_by=2.0),
            "3": _node("SaveImage", images=["2", 0], filename_prefix="enlarged"),
        },
        (_image(),),
        (Output("image", "IMAGE", "2", 0),),
        "Stands for an upscaler. It needs no model: it doubles the size.",
        ("example",),
    ),
    Definition(
        "example-detail",
        1,
        "Example: detail",
        {
            "1": _node("LoadImage", image="example.png"),
            "2": _node("ImageSharpen", image=["1", 0], sharpen_radius=2, sigma=1.0, alpha=1.5),
            "3": _node("SaveImage", images=["2", 0], filename_prefix="detail"),
        },
        (_image(),),
        (Output("image", "IMAGE", "2", 0),),
        "Stands for a workflow that adds detail. It needs no model: it sharpens.",
        ("example",),
    ),
    Definition(
        "example-enlarge-if-small",
        1,
        "Example: enlarge if small",
        {
            "1": _node("LoadImage", image="example.png"),
            "2": _node(
                "OrchestratorCondition",
                expression="image.width < 1024 and image.height < 1024",
                names="image",
                a=["1", 0],
                value_1=["1", 0],
            ),
            "3": _node(REMOTE, **_remote_inputs("example-enlarge"), in_1=["2", 1]),
            "4": _node("OrchestratorMerge", mode="batch", sizes="error", separator="", in_1=["3", 2], in_2=["2", 2]),
            "5": _node("SaveImage", images=["4", 0], filename_prefix="large"),
        },
        (_image(),),
        (Output("image", "IMAGE", "4", 0),),
        "A meta-graph: it decides, and sends the image to an upscaler only if that is worth it.",
        ("example",),
    ),
)


# --- the examples


def _load(title: str = "Your image") -> Box:
    return Box("load", "LoadImage", title, (320, 320), {"image": "example.png"})


def _remote(key: str, title: str, workflow: str, size: tuple[int, int], **links: Link) -> Box:
    names = {"in_1": "image", "in_2": "seed"}
    slots = json.dumps({"in": [names[slot] for slot in links], "out": ["image"]})
    widgets = {
        "workflow": workflow,
        "backend": "auto",
        "parameters": slots,
        "on_failure": "fail",
        "attempts": 3,
        "cache": True,
    }
    return Box(key, REMOTE, title, size, widgets, links)


def _condition(title: str, expression: str, names: str, size: tuple[int, int], **links: Link) -> Box:
    return Box("if", "OrchestratorCondition", title, size, {"expression": expression, "names": names}, links)


def _merge(key: str, title: str, mode: str, **links: Link) -> Box:
    widgets = {"mode": mode, "sizes": "error", "separator": "\\n"}
    return Box(key, "OrchestratorMerge", title, (260, 210), widgets, links)


def _fan_out(title: str, size: tuple[int, int], **widgets: Json) -> Box:
    given = {"source": "seeds", "text": "", "chunk": 1, "first_seed": 1, "seeds": 4, "distribute": 0}
    return Box("fan", "OrchestratorFanOut", title, size, {**given, **widgets})


def _save(key: str, title: str, prefix: str, source: Link) -> Box:
    return Box(key, "SaveImage", title, (330, 330), {"filename_prefix": prefix}, {"images": source})


def _preview(key: str, title: str, source: Link) -> Box:
    return Box(key, "PreviewImage", title, (330, 330), {}, {"images": source})


VARIATIONS = Example(
    "Variations, the best two",
    """# Variations, the best two

**First**: add your other servers in the *Orchestrator* sidebar, and import the workflow that this one
carries. Then press Run.

*Fan Out* makes eight seeds. Each becomes a variation, on all your servers at the same time. *Condition*
compares the results: the two sharpest are saved, in the order of their seeds. *Merge* shows all eight as one
batch.

**Make it yours**: choose your own text-to-image workflow in *Remote Workflow* and connect the seed to its
seed. `best(image.brightness, 3)` keeps the three brightest; `best(image.sharpness) and not image.is_blank` is
stricter.""",
    (
        (_load("The image to vary"), _fan_out("Eight seeds", (320, 300), source="seeds", first_seed=1, seeds=8)),
        (
            _remote(
                "vary",
                "A variation for each seed",
                "example-variation",
                (360, 300),
                in_1=("load", "IMAGE"),
                in_2=("fan", "item"),
            ),
        ),
        (
            _condition(
                "The two sharpest?",
                "best(image.sharpness, 2)",
                "image",
                (340, 240),
                a=("vary", "out_1"),
                value_1=("vary", "out_1"),
            ),
            _merge("all", "All of them, in order", "batch", in_1=("vary", "out_1")),
        ),
        (_save("best", "The best two", "best", ("if", "true_1")), _preview("show", "All eight", ("all", "merged"))),
    ),
)

SMALL = Example(
    "Enlarge only what is small",
    """# Enlarge only what is small

**First**: add your other servers in the *Orchestrator* sidebar, and import the workflow that this one
carries. Then press Run.

*Condition* looks at the image. If it is small it takes the branch *true* and is enlarged on another server.
If not, it takes the branch *false*, and nothing is sent anywhere. *Merge* goes on with whichever came.

**Make it yours**: choose your upscaler in *Remote Workflow*. With a Fan Out before it, the same graph decides
for each image of a whole batch.""",
    (
        (_load(),),
        (
            _condition(
                "Small?",
                "image.width < 1024 and image.height < 1024",
                "image",
                (380, 240),
                a=("load", "IMAGE"),
                value_1=("load", "IMAGE"),
            ),
        ),
        (_remote("enlarge", "Enlarge it elsewhere", "example-enlarge", (360, 300), in_1=("if", "true_1")),),
        (_merge("merge", "Whichever came", "batch", in_1=("enlarge", "out_1"), in_2=("if", "false_1")),),
        (_save("save", "The large image", "large", ("merge", "merged")),),
    ),
)


def _stitch(key: str, title: str, direction: str, one: Link, two: Link) -> Box:
    widgets = {"direction": direction, "match_image_size": False, "spacing_width": 0, "spacing_color": "white"}
    return Box(key, "ImageStitch", title, (300, 150), widgets, {"image1": one, "image2": two})


def _pick(number: int) -> Box:
    widgets = {"batch_index": number, "length": 1}
    return Box(f"pick{number}", "ImageFromBatch", f"Region {number}", (240, 110), widgets, {"image": ("all", "merged")})


REGIONS = Example(
    "Regions on several servers",
    """# Regions on several servers

**First**: add your other servers in the *Orchestrator* sidebar, and import the workflow that this one
carries. Then press Run.

*Fan Out* makes a grid of corners (`y` and `x`), so *Crop* cuts four regions out of the image. Your servers
work on them at the same time. *Merge* brings them back in the order of the grid, whichever was done first,
and they become one image again.

**Make it yours**: choose a workflow that adds detail to an image. A grid can be any lists: `cfg: 4, 6, 8` and
`sampler: euler, ddim` compare samplers in the same way.""",
    (
        (_load(), _fan_out("A grid of corners", (320, 330), source="grid", text="y: 0, 384\nx: 0, 384")),
        (
            Box(
                "crop",
                "ImageCrop",
                "One region each",
                (280, 150),
                {"width": 384, "height": 384, "x": 0, "y": 0},
                {"image": ("load", "IMAGE"), "y": ("fan", "out_1"), "x": ("fan", "out_2")},
            ),
        ),
        (_remote("detail", "Detail, on all servers", "example-detail", (360, 300), in_1=("crop", "IMAGE")),),
        (_merge("all", "In the order of the grid", "batch", in_1=("detail", "out_1")),),
        tuple(_pick(number) for number in range(4)),
        (
            _stitch("top", "Upper half", "right", ("pick0", "IMAGE"), ("pick1", "IMAGE")),
            _stitch("bottom", "Lower half", "right", ("pick2", "IMAGE"), ("pick3", "IMAGE")),
        ),
        (_stitch("whole", "One image again", "down", ("top", "IMAGE"), ("bottom", "IMAGE")),),
        (_save("save", "All regions", "regions", ("whole", "IMAGE")),),
    ),
)

NESTED = Example(
    "A meta-graph inside of another",
    """# A meta-graph inside of another

**First**: add your other servers in the *Orchestrator* sidebar, and import the workflows that this one
carries. Then press Run.

*Enlarge if small* is a meta-graph itself: it decides, and sends work away. Here it is one node. This server
runs its decisions, the other servers run its work. What comes back is looked at again: only a large image
gets more detail.

**Make it yours**: any meta-graph becomes a node by saving it to the library. They may be nested several
levels deep; one that would run itself is refused.""",
    (
        (_load(),),
        (_remote("inner", "Enlarge if small", "example-enlarge-if-small", (360, 300), in_1=("load", "IMAGE")),),
        (
            _condition(
                "Large now?",
                "image.width >= 1024",
                "image",
                (340, 240),
                a=("inner", "out_1"),
                value_1=("inner", "out_1"),
            ),
        ),
        (_remote("detail", "More detail", "example-detail", (360, 300), in_1=("if", "true_1")),),
        (_merge("merge", "Whichever came", "batch", in_1=("detail", "out_1"), in_2=("if", "false_1")),),
        (_save("save", "The result", "nested", ("merge", "merged")),),
    ),
)

EXAMPLES = (VARIATIONS, SMALL, REGIONS, NESTED)
