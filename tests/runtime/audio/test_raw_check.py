"""Raw samples that are read in another format than the one they were written in."""

import itertools

import numpy as np
import pytest

from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.runtime.audio.raw_check import RawCheck, is_text
from tests.runtime.audio.recordings import voice

WRITTEN = {
    "s16le": (voice() * 32_767).astype("<i2").tobytes(),
    "s16be": (voice() * 32_767).astype(">i2").tobytes(),
    "s32le": (voice() * (2**31 - 1)).astype("<i4").tobytes(),
    "f32le": voice().tobytes(),
}


@pytest.mark.parametrize(
    ("written", "read"),
    [pair for pair in itertools.product(WRITTEN, WRITTEN) if pair != ("s16le", "s32le")],  # every other sample: smooth
)
def test_the_format_that_the_samples_were_written_in_is_named(written: str, read: str) -> None:
    assert RawCheck(RawFormat(sample_format=read)).better_format(WRITTEN[written]) == (
        None if written == read else written
    )


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
