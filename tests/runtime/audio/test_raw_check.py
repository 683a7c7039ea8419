"""Raw samples that are read in another format than the one they were written in."""

import itertools
from io import BytesIO

import numpy as np
import pytest
import soundfile

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
    assert found == (None if written == read else written)


def test_the_check_waits_for_a_second_of_sound() -> None:
    check = RawCheck(RawFormat(sample_format="s32le"))
    pieces = [WRITTEN["s16le"][start : start + 3200] for start in range(0, len(WRITTEN["s16le"]), 3200)]
    assert [name for piece in pieces if (name := check.better_format(piece))] == ["s16le"]


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
