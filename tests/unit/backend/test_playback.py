"""Sounds and videos of encoded values as files that browsers play."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.backend.codecs.playback import playable
from comfy_orchestrator_nodes.errors import NoPlayback, ValueLost

MP4 = b"\0\0\0\x20ftypisom" + bytes(range(256)) * 20


def encoded(value: Any, type_: str) -> io.BytesIO:
    return io.BytesIO(b"".join(bytes(part) for part in wire.encode(value, type_, arrays_are_tensors=True).parts()))


def sound(items: int, channels: int, samples: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).uniform(-1, 1, (items, channels, samples)).astype(dtype)


def audio(waveform: np.ndarray[Any, Any], rate: Any = 8000) -> io.BytesIO:
    return encoded({"waveform": waveform, "sample_rate": rate}, "AUDIO")


def test_a_video_is_the_file_that_it_is() -> None:
    found = playable(encoded(wire.Parts(wire.VIDEO, {"file": MP4}), "VIDEO"))
    assert (found.media_type, found.size_bytes) == ("video/mp4", len(MP4))
    assert found.read(0, len(MP4)) == MP4
    assert found.read(100, 117) == MP4[100:117]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_sounds_of_a_batch_follow_each_other_with_their_channels_together(dtype: Any) -> None:
    waveform = sound(2, 2, 7, dtype)
    found = playable(audio(waveform))
    with wave.open(io.BytesIO(found.read(0, found.size_bytes))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth(), file.getnframes()) == (2, 8000, 2, 14)
        heard = np.frombuffer(file.readframes(14), "<i2").reshape(2, 7, 2) / 32767
    assert np.abs(heard - waveform.transpose(0, 2, 1)).max() < 1e-3 / 10


def test_any_stretch_of_a_sound_is_what_stands_there_in_the_whole() -> None:
    found = playable(audio(sound(3, 2, 5)))
    whole = found.read(0, found.size_bytes)
    assert len(whole) == found.size_bytes
    for begin in range(len(whole)):
        for end in range(begin + 1, len(whole) + 1):
            assert found.read(begin, end) == whole[begin:end]


def test_samples_beyond_full_scale_are_cut_and_what_is_no_number_is_silent() -> None:
    found = playable(audio(np.array([[[2.0, -3.0, np.nan]]], np.float32)))
    assert np.frombuffer(found.read(44, 50), "<i2").tolist() == [32767, -32767, 0]


def test_a_sound_without_samples_is_an_empty_file_of_sound() -> None:
    found = playable(audio(sound(1, 1, 0)))
    with wave.open(io.BytesIO(found.read(0, found.size_bytes))) as file:
        assert file.getnframes() == 0


@pytest.mark.parametrize(
    "value",
    [
        encoded(np.zeros((1, 4, 4, 3), np.float32), "IMAGE"),
        encoded({"file": "no bytes"}, "VIDEO"),
        audio(sound(1, 1, 4), rate="8000"),
        audio(sound(1, 1, 4), rate=0),
        audio(sound(1, 9, 4)),
        audio(sound(1, 1, 4)[0]),
        encoded({"waveform": np.zeros((1, 1, 4), np.int32), "sample_rate": 8000}, "AUDIO"),
        encoded([1, 2], "AUDIO"),
    ],
)
def test_what_cannot_be_played_is_refused(value: io.BytesIO) -> None:
    with pytest.raises(NoPlayback):
        playable(value)


def test_a_damaged_value_is_told() -> None:
    with pytest.raises(ValueLost):
        playable(io.BytesIO(b"no value at all"))
    content = encoded(wire.Parts(wire.VIDEO, {"file": MP4}), "VIDEO")
    found = playable(content)
    content.truncate(len(content.getvalue()) - 100)
    with pytest.raises(ValueLost, match="cut short"):
        found.read(0, found.size_bytes)
