"""Write ``media/``: one file of each kind, made with the same libraries and calls as ComfyUI's save nodes.

Usage: ``python -m tests.golden.make_media``, from the root of the repository, in an environment with Pillow, NumPy and
PyAV as ComfyUI has them. The calls are those of ``SaveImage``, ``SaveAnimatedPNG``, ``SaveAnimatedWEBP``, ``SaveAudio``
and its sisters, ``SaveVideo`` and ``SaveWEBM`` of ComfyUI 0.3.75.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FOLDER = Path(__file__).parent / "media"

NODE = {
    "id": 1,
    "type": "EmptyImage",
    "pos": [0, 0],
    "size": [1, 1],
    "flags": {},
    "order": 0,
    "mode": 0,
    "inputs": [],
    "outputs": [],
    "properties": {},
    "widgets_values": [8, 8, 1, 0],
    "title": "Größe ☃ 😀",
}
WORKFLOW = {"version": 0.4, "last_node_id": 1, "last_link_id": 0, "nodes": [NODE], "links": [], "groups": []}
PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
        "is_changed": [float("nan")],
    }
}
TEXTS = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)}
FRAMES = [Image.new("RGB", (8, 8), (0, 0, 0)), Image.new("RGB", (8, 8), (1, 2, 3))]


def png(name: str, info: PngInfo, *, animated: bool = False) -> None:
    more: dict[str, Any] = {"save_all": True, "duration": 100, "append_images": FRAMES[1:]} if animated else {}
    FRAMES[0].save(FOLDER / name, pnginfo=info, compress_level=4, **more)


def pngs() -> None:
    plain, unicode, zipped, zipped_unicode, animated = (PngInfo() for _ in range(5))
    for key, text in TEXTS.items():
        plain.add_text(key, text)
        animated.add(b"comf", key.encode("latin-1") + b"\0" + text.encode("latin-1"), after_idat=True)
    unicode.add_text("workflow", json.dumps(WORKFLOW, ensure_ascii=False))
    zipped.add_text("workflow", TEXTS["workflow"], zip=True)
    zipped_unicode.add_itxt("workflow", json.dumps(WORKFLOW, ensure_ascii=False), zip=True)
    png("save_image.png", plain)
    png("unicode.png", unicode)
    png("zipped.png", zipped)
    png("zipped_unicode.png", zipped_unicode)
    png("animated.png", animated, animated=True)


def exifs() -> None:
    exif = FRAMES[0].getexif()
    exif[0x0110] = "prompt:" + TEXTS["prompt"]
    exif[0x010F] = "workflow:" + TEXTS["workflow"]
    FRAMES[0].save(FOLDER / "exif.jpg", exif=exif)
    FRAMES[0].save(
        FOLDER / "animated.webp", save_all=True, duration=100, append_images=FRAMES[1:], exif=exif, lossless=True
    )


def audio(name: str, codec: str, rate: int = 48000) -> None:
    with av.open(str(FOLDER / name), mode="w") as container:
        container.metadata.update(TEXTS)
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = np.zeros((1, rate // 50), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def video(name: str, codec: str, options: dict[str, str]) -> None:
    with av.open(str(FOLDER / name), mode="w", options=options) as container:
        container.metadata.update(TEXTS)
        stream = container.add_stream(codec, rate=Fraction(10))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        picture = np.zeros((64, 64, 3), np.uint8)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    pngs()
    exifs()
    audio("audio.flac", "flac")
    audio("audio.mp3", "libmp3lame")
    audio("audio.opus", "libopus")
    video("video.mp4", "h264", {"movflags": "use_metadata_tags"})
    video("video.webm", "libvpx-vp9", {})


if __name__ == "__main__":
    main()
