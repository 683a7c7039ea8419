"""Augmentation of waveforms: the effects, and that they depend only on the generator."""

import numpy as np
import pytest

from metaser.runtime.arrays import Waveform
from metaser.toolkit.config import AugmentConfig
from metaser.toolkit.training.augment import (
    add_noise,
    augment,
    change_speed,
    equalise,
    impulse_response,
    limit_band,
    random_crop,
    reverberate,
)

ALWAYS = AugmentConfig(
    noise_chance=1, gain_chance=1, speed_chance=1, reverberation_chance=1, equaliser_chance=1, band_chance=1
)
NEVER = AugmentConfig(noise_chance=0, gain_chance=0, speed_chance=0, reverberation_chance=0)


def tone(hz: float = 400, samples: int = 16_000) -> Waveform:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(samples) / 16_000)).astype(np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pitch_hz(waveform: Waveform) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax() * 16_000 / len(waveform))


def power(waveform: Waveform) -> float:
    return float(np.mean(np.square(waveform, dtype=np.float64)))


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_is_as_loud_as_asked(snr_db: float) -> None:
    noise = add_noise(tone(), snr_db, rng()) - tone()
    assert 10 * np.log10(power(tone()) / power(noise)) == pytest.approx(snr_db, abs=0.05)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_length_and_pitch(speed: float) -> None:
    changed = change_speed(tone(), speed)
    assert len(changed) == pytest.approx(16_000 / speed, abs=2)
    assert pitch_hz(changed) == pytest.approx(400 * speed, abs=3)


def test_an_echo_falls_by_sixty_decibels_and_keeps_the_energy() -> None:
    response = impulse_response(0.5, 0.0, rng())
    assert np.linalg.norm(response) == pytest.approx(1, abs=1e-6)
    early, late = power(response[1:400]), power(response[-400:])
    assert 10 * np.log10(early / late) == pytest.approx(60 * (8000 - 400) / 8000, abs=1.5)
    assert response[0] ** 2 == pytest.approx(0.5, abs=1e-6)  # direct sound and echo are as loud


def test_reverberation_outlasts_the_sound_and_never_precedes_it() -> None:
    clip = np.zeros(16_000, np.float32)
    clip[4000] = 1
    wet = reverberate(clip, 0.3, rng())
    assert len(wet) == len(clip)
    assert np.abs(wet[:4000]).max() < 1e-6
    assert np.abs(wet[4001:4100]).max() > 1e-3


def test_an_equaliser_changes_frequencies_by_at_most_what_was_asked_and_is_smooth() -> None:
    noise = rng().standard_normal(16_000).astype(np.float32)
    before, after = (np.abs(np.fft.rfft(wave * np.hanning(16_000))) for wave in (noise, equalise(noise, 12.0, rng(1))))
    bands = [slice(low, 2 * low) for low in (125, 250, 500, 1000, 2000)]
    gains_db = np.array([10 * np.log10(np.sum(after[band] ** 2) / np.sum(before[band] ** 2)) for band in bands])
    assert np.abs(gains_db).max() < 12
    assert np.ptp(gains_db) > 1


def test_a_narrow_band_keeps_what_is_in_it_and_nothing_above() -> None:
    low, high = tone(1000), tone(6000)
    assert limit_band(low + high, 3000.0)[500:-500] == pytest.approx(low[500:-500], abs=2e-3)


def test_a_crop_is_a_stretch_of_the_clip_and_can_start_anywhere() -> None:
    clip = np.arange(10, dtype=np.float32)
    starts = {int(random_crop(clip, 4, rng(seed))[0]) for seed in range(100)}
    assert starts == set(range(7))
    assert np.array_equal(random_crop(clip, 4, rng(1)), np.arange(4) + random_crop(clip, 4, rng(1))[0])
    assert np.array_equal(random_crop(clip, 20, rng()), clip)


def test_without_effects_a_clip_is_only_cut() -> None:
    assert np.array_equal(augment(tone(), 20_000, NEVER, rng()), tone())
    assert len(augment(tone(), 4000, NEVER, rng())) == 4000


@pytest.mark.parametrize("seed", range(20))
def test_with_all_effects_a_clip_keeps_its_range_and_length_at_most(seed: int) -> None:
    clip = augment(tone(samples=8000), 6000, ALWAYS, rng(seed))
    assert clip.dtype == np.float32
    assert np.isfinite(clip).all()
    assert np.abs(clip).max() <= 1
    assert 5900 < len(clip) <= 6000


def test_the_generator_alone_decides() -> None:
    np.random.seed(0)  # noqa: NPY002 # the point: the global generator has no say
    first = augment(tone(), 8000, ALWAYS, rng(5))
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(augment(tone(), 8000, ALWAYS, rng(5)), first)
    assert not np.array_equal(augment(tone(), 8000, ALWAYS, rng(6)), first)
