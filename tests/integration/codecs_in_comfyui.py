"""Run by ComfyUI's own interpreter: what the codecs write is what its nodes load, bit for bit, and the reverse.

Usage: python codecs_in_comfyui.py COMFYUI_SOURCE PROJECT_ROOT FOLDER [--mend-torchvision]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, BinaryIO

source, project, folder, *mend = sys.argv[1:]
sys.argv[1:] = ["--cpu", "--base-directory", folder]
sys.path[:0] = [source, project]

if mend:
    from tools.devtools.comfyui_launcher import MendTorchvision

    sys.meta_path.insert(0, MendTorchvision())

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import folder_paths  # noqa: E402
import nodes  # noqa: E402
import torch  # noqa: E402
from comfy_api.input_impl import VideoFromFile  # noqa: E402
from comfy_extras import nodes_audio  # noqa: E402

from comfy_orchestrator_nodes.backend import codecs  # noqa: E402

INPUT = Path(folder_paths.get_input_directory())
INPUT.mkdir(parents=True, exist_ok=True)


def write(native: Any, type_: str, suffix: str) -> list[str]:
    """Encode into the input folder and return the names."""
    made: list[Path] = []

    def open_sink(_media_type: str) -> BinaryIO:
        made.append(INPUT / f"{type_}_{len(list(INPUT.iterdir()))}{suffix}")
        return made[-1].open("wb")

    for sink in codecs.encode(native, type_, open_sink):
        sink.close()
    return [path.name for path in made]


def read(paths: list[Path], type_: str) -> Any:
    """Decode files."""
    files = [path.open("rb") for path in paths]
    try:
        return codecs.decode(files, type_)
    finally:
        for file in files:
            file.close()


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Check for equality in type, shape and every bit."""
    assert found.dtype == expected.dtype, (found.dtype, expected.dtype)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert torch.equal(found, expected)


def saved(ui: dict[str, Any], key: str, place: str) -> list[Path]:
    """Return the paths of what a saving node wrote."""
    return [Path(place) / item["subfolder"] / item["filename"] for item in ui["ui"][key]]


def check_images() -> None:
    eight_bit = torch.randint(0, 256, (3, 40, 56, 3), dtype=torch.uint8).float() / 255.0
    loaded = [nodes.LoadImage().load_image(name)[0] for name in write(eight_bit, "IMAGE", ".png")]
    same(torch.cat(loaded), eight_bit)
    any_image = torch.rand(2, 40, 56, 3)
    ui = nodes.SaveImage().save_images(any_image, "saved")
    files = saved(ui, "images", folder_paths.get_output_directory())
    reloaded = read(files, "IMAGE")
    same(reloaded, (255.0 * any_image).clamp(0, 255).to(torch.uint8).float() / 255.0)
    names = write(any_image.to(torch.bfloat16), "IMAGE", ".png")
    same(
        torch.cat([nodes.LoadImage().load_image(n)[0] for n in names]),
        (any_image.bfloat16().float() * 255).round() / 255,
    )
    mask = torch.randint(0, 256, (1, 40, 56), dtype=torch.uint8).float() / 255.0
    (name,) = write(mask, "MASK", ".png")
    same(nodes.LoadImageMask().load_image(name, "red")[0], mask)


def check_latents() -> None:
    samples = torch.randn(2, 4, 8, 9)
    (name,) = write({"samples": samples}, "LATENT", ".latent")
    same(nodes.LoadLatent().load(name)[0]["samples"], samples)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        ui = nodes.SaveLatent().save({"samples": samples.to(dtype)}, "saved")
        (file,) = saved(ui, "latents", folder_paths.get_output_directory())
        same(read([file], "LATENT")["samples"], samples.to(dtype).float())
        (name,) = write({"samples": samples.to(dtype)}, "LATENT", ".latent")
        same(nodes.LoadLatent().load(name)[0]["samples"], samples.to(dtype).float())


def check_sound() -> None:
    for channels in (1, 2, 6):
        waveform = torch.randn(1, channels, 5000)
        (name,) = write({"waveform": waveform, "sample_rate": 32000}, "AUDIO", ".wav")
        (loaded,) = nodes_audio.LoadAudio().load(name)
        assert loaded["sample_rate"] == 32000
        same(loaded["waveform"], waveform)
    audio = {"waveform": torch.rand(2, 2, 5000) * 2 - 1, "sample_rate": 44100}
    files = saved(nodes_audio.SaveAudio().save_flac(audio, "saved"), "audio", folder_paths.get_output_directory())
    found = read(files, "AUDIO")
    expected = [nodes_audio.load(str(file))[0] for file in files]
    same(found["waveform"], torch.stack(expected))
    assert float((found["waveform"] - audio["waveform"]).abs().max()) <= 1 / 2**15


def check_video() -> None:
    path = Path(folder) / "made.mp4"
    import av

    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(torch.zeros(48, 64, 3, dtype=torch.uint8).numpy(), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    video = read([path], "VIDEO")
    assert isinstance(video, VideoFromFile)
    assert video.get_components().images.shape == (1, 48, 64, 3)


with torch.inference_mode():
    for check in (check_images, check_latents, check_sound, check_video):
        check()
sys.stdout.write("all equal\n")
