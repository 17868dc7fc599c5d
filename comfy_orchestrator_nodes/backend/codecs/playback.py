"""Encoded sounds and videos as the files that browsers play, any stretch of which can be read by itself.

A video's file lies in its value as it is. A sound is told as WAV with 16 bits, the one form that every browser plays,
computed from the samples of just that stretch; the items of a batch follow each other. Blocks: run it in a thread.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from ...agent import wire
from ...errors import NoPlayback, ValueLost
from .video import media_type_of

_HEAD_BYTES = 16
_WAV_HEADER_BYTES = 44
_SAMPLE_BYTES = 2
_MOST_WAV_BYTES = 2**32 - 1
_MAX_CHANNELS = 8
_MAX_RATE = 384_000
_FLOATS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "F16": np.dtype("<f2")}


class Playable(Protocol):
    """A file that exists only as far as it is read."""

    media_type: str
    size_bytes: int

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from ``begin`` to ``end``, which lie within the file.

        Raises:
            ValueLost: the value was cut short.
        """
        ...


def playable(file: BinaryIO) -> Playable:
    """Return what can be played of a value; the file must stay open for as long as it is read.

    Raises:
        NoPlayback: it is neither a sound nor a video, or one of a form that browsers do not know.
        ValueLost: it is damaged.
    """
    try:
        content = wire.peek(file, "file")
        if wire.inspect(file).type == "VIDEO" and isinstance(content, wire.Apart):
            return _Video(file, content)
        waveform, rate = wire.peek(file, "waveform"), wire.peek(file, "sample_rate")
    except wire.WireError as error:
        raise ValueLost(f"A stored value cannot be read: {error}") from error
    if not isinstance(waveform, wire.Apart) or type(rate) is not int:
        raise NoPlayback("The value is neither a sound nor a video: there is nothing to play.")
    return _Sound(file, waveform, rate)


class _Video:
    def __init__(self, file: BinaryIO, place: wire.Apart) -> None:
        self._file = file
        self._begin = place.begin
        self.size_bytes = place.end - place.begin
        self.media_type = media_type_of(self.read(0, min(_HEAD_BYTES, self.size_bytes)))

    def read(self, begin: int, end: int) -> bytes:
        return _read(self._file, self._begin + begin, end - begin)


@dataclass(frozen=True)
class _Shape:
    items: int
    channels: int
    samples: int


class _Sound:
    """Samples lie by item, by channel, in time; in the file the channels of a moment lie together."""

    media_type = "audio/wav"

    def __init__(self, file: BinaryIO, place: wire.Apart, rate: int) -> None:
        dtype = _FLOATS.get(place.stored)
        if dtype is None or len(place.shape) != 3 or not 0 < rate <= _MAX_RATE:
            raise NoPlayback("The sound is of a form that browsers do not play.")
        self._file, self._place, self._dtype = file, place, dtype
        self._shape = _Shape(*place.shape)
        frames = self._shape.items * self._shape.samples
        self._frame_bytes = self._shape.channels * _SAMPLE_BYTES
        self.size_bytes = _WAV_HEADER_BYTES + frames * self._frame_bytes
        if not 0 < self._shape.channels <= _MAX_CHANNELS or self.size_bytes > _MOST_WAV_BYTES:
            raise NoPlayback("The sound has too many channels to be played, or is longer than such a file can be.")
        self._header = _header(self._shape.channels, rate, frames * self._frame_bytes)

    def read(self, begin: int, end: int) -> bytes:
        head = self._header[begin:end]
        first, last = max(0, begin - _WAV_HEADER_BYTES), end - _WAV_HEADER_BYTES
        if last <= first:
            return head
        frame, until = first // self._frame_bytes, -(-last // self._frame_bytes)
        content = b"".join(self._frames(frame, until))
        skipped = first - frame * self._frame_bytes
        return head + content[skipped : skipped + last - first]

    def _frames(self, begin: int, end: int) -> list[bytes]:
        """Return the frames from ``begin`` to ``end``, which may reach over several items."""
        found = []
        while begin < end:
            item, sample = divmod(begin, self._shape.samples)
            count = min(end - begin, self._shape.samples - sample)
            channels = [self._channel(item, channel, sample, count) for channel in range(self._shape.channels)]
            found.append(np.stack(channels, axis=1).tobytes())
            begin += count
        return found

    def _channel(self, item: int, channel: int, sample: int, count: int) -> npt.NDArray[np.int16]:
        at = ((item * self._shape.channels + channel) * self._shape.samples + sample) * self._dtype.itemsize
        data = _read(self._file, self._place.begin + at, count * self._dtype.itemsize)
        with np.errstate(invalid="ignore"):
            floats = np.nan_to_num(np.clip(np.frombuffer(data, self._dtype).astype(np.float32), -1.0, 1.0))
        samples: npt.NDArray[np.int16] = np.rint(floats * 32767).astype("<i2")
        return samples


def _header(channels: int, rate: int, data_bytes: int) -> bytes:
    frame_bytes = channels * _SAMPLE_BYTES
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * frame_bytes, frame_bytes, 8 * _SAMPLE_BYTES)
    riff_bytes = min(_MOST_WAV_BYTES, _WAV_HEADER_BYTES - 8 + data_bytes)
    riff = b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVEfmt " + struct.pack("<I", len(form))
    return riff + form + b"data" + struct.pack("<I", data_bytes)


def _read(file: BinaryIO, begin: int, count: int) -> bytes:
    file.seek(begin)
    parts, left = [], count
    while left:
        part = file.read(left)
        if not part:
            raise ValueLost("A stored value was cut short while it was read.")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
