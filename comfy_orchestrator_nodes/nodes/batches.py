"""Batches of tensors: taken apart for FanOut, put together for Merge. Blocks: run it in a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidRequest
from ..flow.fan_out import refuse_size

ERROR, RESIZE, PAD = "error", "resize", "pad"
SIZES = (ERROR, RESIZE, PAD)
"""What to do when images of different sizes shall become one batch: refuse, fit them to the first, or add black."""


def split(values: Sequence[Any], chunk: int) -> list[Any]:
    """Return batches of at most ``chunk`` elements, as views on the tensors that came in.

    Raises:
        InvalidRequest: a value is no batch, or there are too many items.
    """
    refuse_size(sum(-(-_length(value) // chunk) for value in values))
    return [_sliced(value, start, start + chunk) for value in values for start in range(0, _length(value), chunk)]


def join(values: Sequence[Any], sizes: str) -> Any:
    """Return one batch.

    Args:
        values: images ``[B, H, W, C]``, masks ``[B, H, W]``, latents (``samples`` ``[B, C, …, H, W]``) or sound
            (``waveform`` ``[B, C, T]``), at least one, all of one kind.
        sizes: one of ``SIZES``.

    Raises:
        InvalidRequest: they do not make one batch.
    """
    import torch  # only there inside ComfyUI

    first = values[0]
    with torch.inference_mode():
        if all(isinstance(value, torch.Tensor) for value in values):
            return _join_tensors(values, sizes, channels_last=first.ndim == 4)
        if all(isinstance(value, Mapping) and "samples" in value for value in values):
            return _join_latents(values, sizes)
        if all(isinstance(value, Mapping) and "waveform" in value for value in values):
            return _join_audio(values, sizes)
    kinds = sorted({type(value).__name__ for value in values})
    raise InvalidRequest(f"Values of type {', '.join(kinds)} make no batch. Choose the mode 'list' or 'text join'.")


def _length(value: Any) -> int:
    tensor = value
    if isinstance(value, Mapping):
        tensor = value.get("samples", value.get("waveform"))
    if not hasattr(tensor, "shape") or len(tensor.shape) < 3:
        raise InvalidRequest(f"A {type(value).__name__} is no batch. Choose the source 'list' instead.")
    return int(tensor.shape[0])


def _sliced(value: Any, start: int, end: int) -> Any:
    if not isinstance(value, Mapping):
        return value[start:end]
    if "waveform" in value:
        return {**value, "waveform": value["waveform"][start:end]}
    count = _length(value)
    part = {**value, "samples": value["samples"][start:end]}
    for key in ("noise_mask", "batch_index"):
        # One mask may serve the whole batch.
        if value.get(key) is not None and len(value[key]) == count:
            part[key] = value[key][start:end]
    return part


def _join_tensors(tensors: Sequence[Any], sizes: str, *, channels_last: bool) -> Any:
    import torch  # only there inside ComfyUI

    if len({tensor.ndim for tensor in tensors}) > 1:
        raise InvalidRequest("Images and masks make no batch together. Merge them apart.")
    if channels_last:
        channels = sorted({int(tensor.shape[-1]) for tensor in tensors})
        if len(channels) > 1:
            told = " and ".join(map(str, channels))
            raise InvalidRequest(f"Images with {told} channels make no batch. Convert them to one kind before.")
        fitted = _fitted([tensor.movedim(-1, 1) for tensor in tensors], sizes)
        return torch.cat([tensor.movedim(1, -1) for tensor in fitted], dim=0)
    return torch.cat(_fitted(tensors, sizes), dim=0)


def _fitted(tensors: Sequence[Any], sizes: str) -> list[Any]:
    """Return tensors ``[…, H, W]`` of one size."""
    shapes = {(int(tensor.shape[-2]), int(tensor.shape[-1])) for tensor in tensors}
    if len(shapes) == 1:
        return list(tensors)
    if sizes == ERROR:
        told = ", ".join(f"{width}x{height}" for height, width in sorted(shapes))
        raise InvalidRequest(f"Sizes differ: {told}. Choose 'resize' or 'pad', or the mode 'list'.")
    if sizes == RESIZE:
        return [_resized(tensor, tensors[0].shape[-2:]) for tensor in tensors]
    height, width = max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
    return [_padded(tensor, height, width) for tensor in tensors]


def _resized(tensor: Any, size: Any) -> Any:
    import torch  # only there inside ComfyUI

    if tensor.shape[-2:] == size:
        return tensor
    flat = tensor.reshape(-1, 1, *tensor.shape[-2:])
    flat = torch.nn.functional.interpolate(flat, size=tuple(size), mode="bilinear", antialias=True)
    return flat.reshape(*tensor.shape[:-2], *size)


def _padded(tensor: Any, height: int, width: int) -> Any:
    import torch  # only there inside ComfyUI

    return torch.nn.functional.pad(tensor, (0, width - tensor.shape[-1], 0, height - tensor.shape[-2]))


def _join_latents(latents: Sequence[Any], sizes: str) -> Any:
    import torch  # only there inside ComfyUI

    if len({tuple(latent["samples"].shape[1:-2]) for latent in latents}) > 1:
        raise InvalidRequest("Latents of different models make no batch: their channels differ.")
    joined = {"samples": torch.cat(_fitted([latent["samples"] for latent in latents], sizes), dim=0)}
    masks = [latent.get("noise_mask") for latent in latents]
    if all(mask is None for mask in masks):
        return joined
    if any(mask is None or mask.shape[1:] != masks[0].shape[1:] for mask in masks):
        raise InvalidRequest("Latents with and without a noise mask, or with masks of different sizes, make no batch.")
    spread = [
        mask.expand(latent["samples"].shape[0], *mask.shape[1:]) for mask, latent in zip(masks, latents, strict=True)
    ]
    return {**joined, "noise_mask": torch.cat(spread, dim=0)}


def _join_audio(sounds: Sequence[Any], sizes: str) -> Any:
    import torch  # only there inside ComfyUI

    if len({int(sound["sample_rate"]) for sound in sounds}) > 1:
        raise InvalidRequest("Sounds with different sample rates make no batch.")
    waves = [sound["waveform"] for sound in sounds]
    if len({int(wave.shape[1]) for wave in waves}) > 1:
        raise InvalidRequest("Mono and stereo sounds make no batch together.")
    longest = max(int(wave.shape[-1]) for wave in waves)
    if any(wave.shape[-1] != longest for wave in waves):
        if sizes != PAD:
            raise InvalidRequest("Sounds of different lengths make no batch. Choose 'pad', or the mode 'list'.")
        waves = [torch.nn.functional.pad(wave, (0, longest - wave.shape[-1])) for wave in waves]
    return {"waveform": torch.cat(waves, dim=0), "sample_rate": sounds[0]["sample_rate"]}
