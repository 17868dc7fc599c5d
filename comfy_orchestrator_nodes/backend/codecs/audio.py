"""AUDIO: a WAV of 32-bit floats on the way in, which LoadAudio reads bit for bit; FLAC on the way out.

ComfyUI's SaveAudio and PreviewAudio give FLAC in 16 bits, because FFmpeg's encoder takes floats only so. Reading is
what ComfyUI's own ``load`` in comfy_extras/nodes_audio.py does, through PyAV, which every ComfyUI has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import UnsupportedValue, ValueLost
from .arrays import FloatArray, SinkT, as_array

MEDIA_TYPE = "audio/wav"
_IEEE_FLOAT = 3
_MAX_DATA_BYTES = 2**32 - 1 - 64
_FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}
_MAX_CHANNELS = 64


def write_audio(native: Any, open_sink: Callable[[str], SinkT]) -> list[SinkT]:
    """Write ``{"waveform": (B, C, T), "sample_rate": int}`` as one WAV for each item; see ``encode``."""
    if not isinstance(native, Mapping) or "waveform" not in native or "sample_rate" not in native:
        raise UnsupportedValue("An AUDIO is a dictionary with 'waveform' and 'sample_rate'.", type="AUDIO")
    waveform = as_array(native["waveform"], "An AUDIO")
    sample_rate = int(native["sample_rate"])
    if waveform.ndim != 3 or not 1 <= waveform.shape[1] <= _MAX_CHANNELS:
        raise UnsupportedValue(f"An AUDIO's waveform is (B, C, T); this one is {waveform.shape}.", type="AUDIO")
    if waveform.size == 0:
        raise UnsupportedValue(f"An empty AUDIO {waveform.shape} cannot be sent.", type="AUDIO")
    if waveform[0].size * 4 > _MAX_DATA_BYTES or not 0 < sample_rate < 2**32:
        raise UnsupportedValue("An AUDIO of more than 4 GiB, or without a sample rate, fits no WAV file.", type="AUDIO")
    sinks = []
    for item in waveform:
        sink = open_sink(MEDIA_TYPE)
        samples = np.ascontiguousarray(item.T, dtype="<f4")
        sink.write(_wav_header(item.shape[0], sample_rate, samples.shape[0]))
        sink.write(samples.data.cast("B"))
        sinks.append(sink)
    return sinks


def _wav_header(channels: int, sample_rate: int, length: int) -> bytes:
    data_bytes = length * channels * 4
    fmt = struct.pack(
        "<HHIIHHH", _IEEE_FLOAT, channels, sample_rate, min(sample_rate * channels * 4, 2**32 - 1), channels * 4, 32, 0
    )
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"fact" + struct.pack("<II", 4, length)
    chunks += b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + data_bytes) + b"WAVE" + chunks


def read_audios(files: Sequence[BinaryIO]) -> list[dict[str, Any]]:
    """Read audio files; neighbours of one rate, length and number of channels are one batch."""
    found: list[tuple[int, list[FloatArray]]] = []
    for file in files:
        waveform, sample_rate = _read(file)
        if found and found[-1][0] == sample_rate and found[-1][1][0].shape == waveform.shape:
            found[-1][1].append(waveform)
        else:
            found.append((sample_rate, [waveform]))
    return [
        {"waveform": items[0][None] if len(items) == 1 else np.stack(items), "sample_rate": rate}
        for rate, items in found
    ]


def _read(file: BinaryIO) -> tuple[FloatArray, int]:
    """Return ``(C, T)`` float32 and the sample rate in Hz."""
    import av

    file.seek(0)
    try:
        with av.open(file) as container:
            if not container.streams.audio:
                raise ValueLost("A file that should hold sound has no audio stream.")
            stream = container.streams.audio[0]
            frames = [_channels_first(frame.to_ndarray(), stream.channels) for frame in container.decode(stream)]
            sample_rate = stream.codec_context.sample_rate
    except (av.FFmpegError, ValueError, OSError) as error:
        raise ValueLost(f"A file that should hold sound cannot be read: {error}") from error
    if not frames:
        raise ValueLost("A file that should hold sound holds none.")
    return _as_float32(np.concatenate(frames, axis=1)), sample_rate


def _channels_first(samples: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    return samples if samples.shape[0] == channels else samples.reshape(-1, channels).T


def _as_float32(samples: npt.NDArray[Any]) -> FloatArray:
    if samples.dtype.kind == "f":
        return np.ascontiguousarray(samples, dtype=np.float32)
    scale = _FULL_SCALE.get(samples.dtype)
    if scale is None:
        raise ValueLost(f"A file holds sound as {samples.dtype}, which ComfyUI does not read either.")
    result = np.ascontiguousarray(samples, dtype=np.float32)
    result /= np.float32(scale)
    return result
