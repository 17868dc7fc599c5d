"""What conditions ask of images, masks, latents and sound. Computed when asked, from any thread, kept per value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..conditions import FIELDS, Fields, Plain

_LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in the brightness that is seen (ITU-R BT.709)."""
_BLANK = 1.0 / 255.0
"""Images whose values differ by no more than one 8-bit step are blank."""


def measurable(value: Any) -> Any:
    """Return what a condition can use: fields for images and the like, everything else as it is."""
    if isinstance(value, Mapping):
        if "samples" in value:
            return _Measured("LATENT", value["samples"])
        return _Measured("AUDIO", value) if "waveform" in value else value
    if not _is_tensor(value):
        return value
    kinds = {2: "MASK", 3: "MASK", 4: "IMAGE"}
    return _Measured(kinds[value.ndim], value) if value.ndim in kinds else value


class _Measured(Fields):
    def __init__(self, kind: str, value: Any) -> None:
        self.kind = kind
        self._value = value
        self._known: dict[str, Plain] = {}

    def field(self, name: str) -> Plain:
        """Return a fact, measured once."""
        if name not in FIELDS[self.kind]:
            raise KeyError(name)
        if name not in self._known:
            import torch  # only there inside ComfyUI

            # Another thread is not in the inference mode in which ComfyUI made the tensors.
            with torch.inference_mode():
                self._known[name] = _MEASURES[self.kind][name](self._value)
        return self._known[name]


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.startswith("torch") and hasattr(value, "ndim")


def _luma(image: Any) -> Any:
    """Return brightness of ``[B, H, W, C]`` as ``[B, H, W]`` float32; alpha does not count."""
    rgb = image[..., :3].float()
    if rgb.shape[-1] < len(_LUMA):
        return rgb[..., 0]
    return rgb[..., 0] * _LUMA[0] + rgb[..., 1] * _LUMA[1] + rgb[..., 2] * _LUMA[2]


def _sharpness(image: Any) -> float:
    """Return the variance of the Laplacian of the brightness, in 8-bit steps squared, the mean over the batch.

    The usual measure of focus (Pech-Pacheco et al., ICPR 2000); 0 for images under 3 by 3 pixels.
    """
    luma = _luma(image) * 255.0
    if luma.shape[1] < 3 or luma.shape[2] < 3:
        return 0.0
    edges = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4.0 * luma[:, 1:-1, 1:-1]
    return float(edges.var(dim=(1, 2), unbiased=False).mean())


_MEASURES: Mapping[str, Mapping[str, Callable[[Any], Plain]]] = {
    "IMAGE": {
        "width": lambda image: int(image.shape[2]),
        "height": lambda image: int(image.shape[1]),
        "count": lambda image: int(image.shape[0]),
        "channels": lambda image: int(image.shape[3]),
        "mean": lambda image: float(image.float().mean()),
        "std": lambda image: float(image.float().std(unbiased=False)),
        "brightness": lambda image: float(_luma(image).mean()),
        "sharpness": _sharpness,
        "is_blank": lambda image: bool(image.amax() - image.amin() <= _BLANK),
    },
    "MASK": {
        "width": lambda mask: int(mask.shape[-1]),
        "height": lambda mask: int(mask.shape[-2]),
        "count": lambda mask: int(mask.shape[0]) if mask.ndim == 3 else 1,
        "coverage": lambda mask: float(mask.float().mean()),
    },
    "LATENT": {
        "count": lambda samples: int(samples.shape[0]),
        "width": lambda samples: int(samples.shape[-1]),
        "height": lambda samples: int(samples.shape[-2]),
    },
    "AUDIO": {
        "duration_s": lambda audio: int(audio["waveform"].shape[-1]) / int(audio["sample_rate"]),
        "rms": lambda audio: float(audio["waveform"].float().square().mean().sqrt()),
    },
}
