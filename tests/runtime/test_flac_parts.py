"""The true length of FLAC files, from their last frames."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaser.runtime.audio_file import AudioFile
from tests.runtime.recordings import encoded


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
