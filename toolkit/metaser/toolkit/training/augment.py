"""Augment clips to simulate other rooms, microphones, lines and speakers: speed, echo, tone, noise, band, gain.

All randomness comes from the generator that is passed in. T is a clip's number of samples at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soxr

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.toolkit.config import AugmentConfig

ECHO_END_DB = 60.0
DIRECT_TO_ECHO_DB = (0.0, 12.0)
"""Range of the level of the direct sound over its echo."""
EQUALISER_HZ = (60.0, 150.0, 400.0, 1000.0, 2500.0, 7000.0)
FILTER_ROOM = 1024
NOISE_SLOPE = (0.0, 1.0)
"""Exponent by which the noise's amplitude falls with frequency: 0 is white, 1 is brown."""


def augment(waveform: Waveform, crop_samples: int, settings: AugmentConfig, rng: np.random.Generator) -> Waveform:
    """[T] -> [at most crop_samples]: a random crop, and each effect with its probability; samples stay in [-1, 1]."""
    speed = rng.uniform(*settings.speed) if rng.random() < settings.speed_chance else 1.0
    clip = random_crop(waveform, round(crop_samples * speed), rng)
    if speed != 1.0:
        clip = change_speed(clip, speed)[:crop_samples]
    if rng.random() < settings.reverberation_chance:
        clip = reverberate(clip, rng.uniform(*settings.reverberation_s), rng)
    if rng.random() < settings.equaliser_chance:
        clip = equalise(clip, settings.equaliser_db, rng)
    if rng.random() < settings.noise_chance:
        clip = add_noise(clip, rng.uniform(*settings.noise_snr_db), rng)
    if rng.random() < settings.band_chance:
        clip = limit_band(clip, rng.uniform(*settings.band_hz))
    if rng.random() < settings.gain_chance:
        clip = clip * np.float32(10 ** (rng.uniform(*settings.gain_db) / 20))
    return np.clip(clip, -1, 1)


def random_crop(waveform: Waveform, samples: int, rng: np.random.Generator) -> Waveform:
    """[T] -> [min(T, samples)], a crop at a random position."""
    start = int(rng.integers(0, max(0, len(waveform) - samples) + 1))
    return waveform[start : start + samples]


def change_speed(waveform: Waveform, speed: float) -> Waveform:
    """[T] -> about [T / speed], faster and higher in pitch for a speed above 1."""
    return soxr.resample(np.ascontiguousarray(waveform), speed * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)


def add_noise(waveform: Waveform, snr_db: float, rng: np.random.Generator) -> Waveform:
    """[T] -> [T] with noise between white and brown at this signal-to-noise ratio."""
    spectrum = np.fft.rfft(rng.standard_normal(len(waveform), dtype=np.float32))
    spectrum[0] = 0  # no offset
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -rng.uniform(*NOISE_SLOPE)
    noise = np.fft.irfft(spectrum, len(waveform))
    power = np.mean(np.square(waveform, dtype=np.float64)) / np.mean(np.square(noise))
    return waveform + (noise * np.sqrt(power / 10 ** (snr_db / 10))).astype(np.float32)


def reverberate(waveform: Waveform, reverberation_s: float, rng: np.random.Generator) -> Waveform:
    """[T] -> [T] in a room whose echo falls by 60 dB in `reverberation_s`: the direct sound, then decaying noise."""
    response = impulse_response(reverberation_s, rng.uniform(*DIRECT_TO_ECHO_DB), rng)
    size = 1 << (len(waveform) + len(response) - 2).bit_length()  # no wrap-around
    product = np.fft.rfft(waveform, size) * np.fft.rfft(response, size)
    return np.fft.irfft(product, size)[: len(waveform)].astype(np.float32)


def equalise(waveform: Waveform, most_db: float, rng: np.random.Generator) -> Waveform:
    """[T] -> [T] through a curve over the logarithm of frequency, straight between knots drawn up to `most_db` off."""
    gains_db = rng.uniform(-most_db, most_db, len(EQUALISER_HZ))
    return _filtered(waveform, lambda hz: np.interp(np.log(np.maximum(hz, 1)), np.log(EQUALISER_HZ), gains_db))


def limit_band(waveform: Waveform, highest_hz: float) -> Waveform:
    """[T] -> [T] low-pass filtered: 60 dB attenuation a quarter of an octave above the cutoff."""
    end_hz = highest_hz * 2**0.25
    return _filtered(waveform, lambda hz: np.interp(hz, [highest_hz, end_hz], [0.0, -ECHO_END_DB]))


def _filtered(waveform: Waveform, gain_db: Callable[[Waveform], npt.NDArray[np.float64]]) -> Waveform:
    """Apply a zero-phase filter, given in decibels over Hz; the clip is padded for what it adds at the ends."""
    size = 1 << (len(waveform) + FILTER_ROOM - 1).bit_length()
    spectrum = np.fft.rfft(waveform, size)
    spectrum *= 10 ** (gain_db(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)) / 20)
    return np.fft.irfft(spectrum, size)[: len(waveform)].astype(np.float32)


def impulse_response(reverberation_s: float, direct_to_echo_db: float, rng: np.random.Generator) -> Waveform:
    """[reverberation_s · 16000] of unit energy: an impulse, then noise that falls exponentially by 60 dB."""
    samples = max(2, round(reverberation_s * SAMPLE_RATE_HZ))
    response = rng.standard_normal(samples) * 10 ** (-ECHO_END_DB / 20 * np.arange(samples) / samples)
    response[0] = 0
    response *= 10 ** (-direct_to_echo_db / 20) / np.linalg.norm(response)
    response[0] = 1
    return (response / np.linalg.norm(response)).astype(np.float32)
