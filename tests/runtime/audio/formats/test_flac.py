"""The true length of FLAC files, from their last frames."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaser.runtime import AudioError
from metaser.runtime.audio.file import AudioFile
from tests.runtime.audio.recordings import encoded, voice

BLOCK = 4096
"""Samples per frame, as libFLAC writes them."""


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 96_000, 11_111, 48_010])
@settings(max_examples=10, deadline=None)
@example(samples=1521, channels=3, seed=71)  # a frame that holds what looks like a header
@given(samples=st.integers(500, 60_000), channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_length_is_found_when_it_is_not_stated(
    tmp_path_factory: pytest.TempPathFactory, rate_hz: int, samples: int, channels: int, seed: int
) -> None:
    waveform = np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)
    content = bytearray(encoded("FLAC", "PCM_16", waveform, rate_hz))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path = tmp_path_factory.mktemp("flac") / "clip.flac"
    path.write_bytes(content)
    file = AudioFile(path)
    assert sum(map(len, file.blocks())) == samples
    assert file.duration_s() == samples / rate_hz


@pytest.mark.parametrize("lost", [1, 10, 100, 1000, 5000])
@pytest.mark.parametrize("samples", [32_000, 33_000])
def test_a_file_that_ends_within_its_last_frame_is_read_up_to_it(tmp_path: Path, samples: int, lost: int) -> None:
    content = encoded("FLAC", "PCM_16", voice(samples / 16_000))[:-lost]
    read, file = _read(tmp_path, content)
    assert samples - 2 * BLOCK - lost < read < samples
    assert read % BLOCK == 0
    assert bool(file.notices) == (samples - read >= 1600)


def test_a_frame_in_front_of_a_cut_header_is_kept(tmp_path: Path) -> None:
    samples = voice(2.1)
    samples[16_000:] = 0  # frames of a few bytes
    content = encoded("FLAC", "PCM_16", samples)
    assert [_read(tmp_path, content[:-lost])[0] for lost in (1, 13)] == [8 * BLOCK, 8 * BLOCK]


@pytest.mark.parametrize("behind", [b"TAG".ljust(128, b"0"), bytes(3_000_000), b"ID3\x04" + bytes(500)])
def test_what_is_behind_the_last_frame_is_no_damage(tmp_path: Path, behind: bytes) -> None:
    read, file = _read(tmp_path, encoded("FLAC", "PCM_16", voice(2.1)) + behind)
    assert (read, file.notices) == (33_600, [])


def test_a_picture_that_holds_a_recording_is_stepped_over(tmp_path: Path) -> None:
    content = encoded("FLAC", "PCM_16", voice(2.1))
    picture = encoded("FLAC", "PCM_16", voice(1.0))
    about = struct.pack(">II10sI16xI", 3, 10, b"image/jpeg", 0, len(picture))  # a front cover
    block = b"\x06" + (len(about) + len(picture)).to_bytes(3, "big") + about + picture
    assert _read(tmp_path, content[:42] + block + content[42:])[0] == 33_600


def test_a_file_of_four_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"clip.flac is FLAC and is damaged"):
        _read(tmp_path, b"fLaC")


def _read(folder: Path, content: bytes) -> tuple[int, AudioFile]:
    path = folder / "clip.flac"
    path.write_bytes(content)
    file = AudioFile(path)
    return sum(map(len, file.blocks())), file
