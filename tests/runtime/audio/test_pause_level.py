"""The level of a stream's pauses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.audio.pause_level import PauseLevel
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES


def level_of(amplitudes: list[float]) -> PauseLevel:
    level = PauseLevel()
    for amplitude in amplitudes:
        level.add(np.full(CHUNK_SAMPLES, amplitude, np.float32))
    return level


@given(st.lists(st.floats(1e-5, 1), min_size=1, max_size=60))
def test_it_is_the_lower_median_to_half_a_db(amplitudes: list[float]) -> None:
    level = level_of(amplitudes)
    median = np.percentile(np.square(amplitudes), 50, method="inverted_cdf")
    assert 10 * np.log10(level.power) == pytest.approx(10 * np.log10(median), abs=0.501)
    assert level.duration_s == pytest.approx(0.032 * len(amplitudes))


def test_loud_ends_of_words_do_not_raise_it() -> None:
    assert level_of([1e-4] * 60 + [0.3] * 50).power == pytest.approx(1e-8)


def test_digital_silence_and_full_scale_have_a_level() -> None:
    assert level_of([0.0]).power == pytest.approx(1e-12)
    assert level_of([1.0]).power == 1
