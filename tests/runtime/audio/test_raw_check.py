"""Raw samples that are read in another format than the one they were written in."""

import itertools
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import soundfile

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.formats.pcm import FORMATS, RawFormat
from metaser.runtime.audio.raw_check import RawCheck, is_text
from tests.runtime.audio.recordings import voice


def written_as(name: str) -> bytes:
    """A voice in this format."""
    if name in ("mulaw", "alaw"):
        file = BytesIO()
        subtype = "ULAW" if name == "mulaw" else "ALAW"
        soundfile.write(file, voice(), 16_000, format="RAW", subtype=subtype)
        return file.getvalue()
    order = ">" if name.endswith("be") else "<"
    if name.startswith("f"):
        return voice().astype(f"{order}f{int(name[1:3]) // 8}").tobytes()
    if name in ("u8", "s8"):
        return (np.rint(voice() * 127) + (128 if name == "u8" else 0)).astype("u1" if name == "u8" else "i1").tobytes()
    bits = int(name[1:3])
    values = np.rint(voice().astype(np.float64) * (2 ** (bits - 1) - 1))
    if bits == 24:
        four = values.astype(f"{order}i4").view(np.uint8).reshape(-1, 4)
        return (four[:, :3] if order == "<" else four[:, 1:]).tobytes()
    return values.astype(f"{order}i{bits // 8}").tobytes()


WRITTEN = {name: written_as(name) for name in FORMATS}


@pytest.mark.parametrize(("written", "read"), list(itertools.product(WRITTEN, WRITTEN)))
def test_the_format_that_the_samples_were_written_in_is_named(written: str, read: str) -> None:
    found = RawCheck(RawFormat(sample_format=read)).better_format(WRITTEN[written])
    assert (found and found.sample_format) == (None if written == read else written)


def test_the_check_waits_for_a_second_of_sound() -> None:
    check = RawCheck(RawFormat(sample_format="s32le"))
    pieces = [WRITTEN["s16le"][start : start + 3200] for start in range(0, len(WRITTEN["s16le"]), 3200)]
    assert [name for piece in pieces if (name := check.better_format(piece))] == [RawFormat()]


def channels_of(kind: str, clip: Waveform) -> Waveform:
    """[T, 2], both channels of a recording of one voice."""
    noise = 0.01 * clip.std() * np.random.default_rng(0).normal(size=(len(clip), 2))
    right = {"the same": clip, "quieter": 0.6 * clip, "later": np.roll(clip, 4)}.get(kind, clip)
    both = np.stack([clip, right], axis=1)
    return (both + noise if kind == "noisy" else both).astype(np.float32)


@pytest.mark.parametrize("kind", ["the same", "noisy", "quieter", "later"])
@pytest.mark.parametrize("name", ["s16le", "f32le"])
def test_two_channels_of_one_voice_are_read_as_stated(conversation: Waveform, kind: str, name: str) -> None:
    for start in range(0, len(conversation) - 48_000, 144_000):
        clip = conversation[start : start + 48_000]
        kinds: dict[str, Any] = {"s16le": "<i2", "f32le": "<f4"}
        scale = 32_767 if name == "s16le" else 1
        stereo = (scale * channels_of(kind, clip)).astype(kinds[name]).tobytes()
        assert RawCheck(RawFormat(channels=2, sample_format=name)).better_format(stereo) is None
        mono = (scale * clip).astype(kinds[name]).tobytes()
        assert RawCheck(RawFormat(sample_format=name)).better_format(mono) is None


def test_two_voices_that_are_read_as_one_channel_are_named(conversation: Waveform) -> None:
    half = len(conversation) // 2
    both = np.stack([conversation[:half], conversation[half : 2 * half]], axis=1)
    stereo = (32_767 * both).astype("<i2").tobytes()
    assert RawCheck(RawFormat()).better_format(stereo) == RawFormat(channels=2)
    assert RawCheck(RawFormat(channels=2)).better_format(stereo) is None


@pytest.mark.parametrize("level", [1e-4, 0.01, 0.5])
def test_noise_and_silence_are_never_taken_for_another_format(level: float) -> None:
    noise = np.random.default_rng(0).normal(0, level, 32_000)
    for content in ((noise * 32_767).astype("<i2").tobytes(), bytes(64_000), b"\xff\xff" * 32_000):
        assert RawCheck(RawFormat()).better_format(content) is None


def test_what_was_sound_once_is_not_looked_at_again() -> None:
    check = RawCheck(RawFormat())
    assert check.better_format(WRITTEN["s16le"]) is None
    assert check.better_format(WRITTEN["f32le"]) is None


def test_words_are_told_from_samples() -> None:
    assert is_text(b"hello, this is no audio at all")
    assert is_text("Wörter, die jemand aus Versehen schickt: ä"[:-1].encode() + b"\xc3")
    assert not is_text(WRITTEN["s16le"][:4096])
    assert not is_text(b"short")
