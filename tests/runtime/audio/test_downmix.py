"""Several channels to one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime.audio.downmix import Downmix
from tests.runtime.audio.recordings import RATE_HZ, Samples, voice

VOICE = voice(1.0)
HUM = (0.5 * np.sin(2 * np.pi * 50 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)


def mixed(*channels: Samples) -> tuple[Samples, str]:
    downmix = Downmix(RATE_HZ, len(channels))
    return np.concatenate([downmix.push(np.stack(channels, axis=1)), downmix.finish()]), downmix.notice


@pytest.mark.parametrize("gain", [-1.0, -0.97, -0.8, -0.5])
def test_of_channels_that_cancel_the_louder_is_used_and_reported(gain: float) -> None:
    for order in (1, -1):
        samples, notice = mixed(*[VOICE, np.float32(gain) * VOICE][::order])
        np.testing.assert_array_equal(samples, VOICE if order == 1 or gain != -1 else -VOICE)
        assert "cancel each other" in notice


@pytest.mark.parametrize(
    "channels",
    [
        (VOICE, VOICE), (VOICE, 0 * VOICE), (VOICE, HUM), (VOICE, np.roll(VOICE, 8)), (VOICE, voice(1.0, seed=9) / 3),
        (0 * VOICE, 0 * VOICE, VOICE, *[0 * VOICE] * 3), (VOICE, *[0 * VOICE] * 7),
    ],
    ids=["alike", "left alone", "hum", "half a millisecond apart", "quieter", "centre of 5.1", "one of eight"],
)  # fmt: skip
def test_channels_that_do_not_cancel_are_averaged(channels: tuple[Samples, ...]) -> None:
    samples, notice = mixed(*channels)
    np.testing.assert_allclose(samples, np.mean(channels, axis=0), atol=1e-6)
    assert notice == ""


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 16_000), max_size=6), inverted_from=st.integers(0, 16_000))
def test_the_cutting_into_chunks_does_not_matter(cuts: list[int], inverted_from: int) -> None:
    right = VOICE.copy()
    right[inverted_from:] *= -1
    stereo = np.stack([VOICE, right], axis=1)
    whole, _ = mixed(VOICE, right)
    downmix = Downmix(RATE_HZ, 2)
    parts = [downmix.push(part) for part in np.split(stereo, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate([*parts, downmix.finish()]), whole)


@pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0])
def test_channels_that_cancel_from_the_middle_on_are_not_lost(seconds: float) -> None:
    sound = voice(2 * seconds)
    other = sound.copy()
    other[len(sound) // 2 :] *= -1
    samples, notice = mixed(sound, other)
    np.testing.assert_allclose(samples, sound, atol=1e-6)
    assert "cancel each other" in notice


def test_an_offset_does_not_hide_that_channels_cancel() -> None:
    samples, notice = mixed(VOICE + np.float32(0.2), np.float32(0.2) - VOICE)
    assert float(np.corrcoef(samples, VOICE)[0, 1]) ** 2 > 0.99
    assert "cancel each other" in notice
