"""The contour of a clip's speech, its energy in four bands over time, by which copies of a recording are found.

contour a  |--------------------|                each has 100 frames per second
contour b            |-----------------|         at every lag, the part that both have is correlated
overlap              |----------|                at least half a second, and 40 % of the shorter contour

The bands end at 3.4 kHz, and the correlation ignores the level. So a copy at half the volume, as MP3 or a telephone
transmits it, or cut from the same recording, resembles its original more than the same sentence spoken again does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform

BANDS_HZ = (300.0, 800.0, 1500.0, 2400.0, 3400.0)
FRAME_SAMPLES, HOP_SAMPLES = 512, 160
LONGEST_S = 60.0
"""Only this much of the speech is compared."""

LOUDNESS = 0.25
"""Exponent of the energy: near what is heard as loudness, and quiet frames, which codecs change most, count little."""

COPY = 0.95
"""Two clips with at least this correlation are copies of one recording: the middle between the same sentence spoken
twice by one actor in one emotion, and MP3 at 8 kHz or a part of a clip."""

LEAST_FRAMES = 50
LEAST_SHARE = 0.4
STEADY = 0.02
"""A part that varies by less than this share of the clip's power is steady: its correlation means nothing."""

Contour = npt.NDArray[np.float32]
"""[4, N]"""


def contour_of(speech: Waveform) -> Contour:
    """Speech, float32 [T] at 16 kHz -> [4, N]: the loudness of each band in each hundredth of a second."""
    samples = speech[: round(LONGEST_S * SAMPLE_RATE_HZ)]
    if len(samples) < FRAME_SAMPLES:
        samples = np.pad(samples, (0, FRAME_SAMPLES - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]  # [N, 512]
    window = np.hanning(FRAME_SAMPLES).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames * window, axis=1)))  # [N, 257]
    edges = [round(hz * FRAME_SAMPLES / SAMPLE_RATE_HZ) for hz in BANDS_HZ]
    energy = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)  # [N, 4]
    return (energy.T**LOUDNESS).astype(np.float32)


def is_copy(a: Contour, b: Contour) -> bool:
    """Whether two clips are copies, or overlapping parts, of one recording, by their contours."""
    return resemblance(a, b) >= COPY


def resemblance(a: Contour, b: Contour) -> float:
    """The correlation of two contours, [4, N] and [4, M], at the lag where it is highest; 0 if both are too short."""
    (count_a, count_b), shorter = (a.shape[1], b.shape[1]), min(a.shape[1], b.shape[1])
    least = max(LEAST_FRAMES, round(LEAST_SHARE * shorter))
    if shorter < least:
        return 0.0
    lags = np.arange(least - count_b, count_a - least + 1)  # a[lag + t] is compared with b[t]
    start = np.maximum(0, lags)
    n = np.minimum(count_a, count_b + lags) - start  # frames of the overlap
    sum_a, power_a = _sums(a, start, n)
    sum_b, power_b = _sums(b, start - lags, n)
    size = 1 << (count_a + count_b - 1).bit_length()
    spectra = np.fft.rfft(_centred(a), size) * np.conj(np.fft.rfft(_centred(b), size))
    products = np.fft.irfft(spectra.sum(axis=0), size)[lags]
    covariance = products - (sum_a * sum_b).sum(axis=0) / n
    variance = [
        np.maximum(power - np.square(each).sum(axis=0) / n, STEADY * np.square(contour).mean(axis=1).sum() * n + 1e-12)
        for contour, each, power in ((a, sum_a, power_a), (b, sum_b, power_b))
    ]
    return float((covariance / np.sqrt(variance[0] * variance[1])).max())


def _centred(contour: Contour) -> npt.NDArray[np.float64]:
    return contour.astype(np.float64) - contour.mean(axis=1, keepdims=True, dtype=np.float64)


def _sums(
    contour: Contour, start: npt.NDArray[np.int64], n: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Over `n` frames from `start`, for each lag: the sum per band [4, lags], and the sum of squares [lags]."""
    centred = _centred(contour)
    sums = np.pad(np.cumsum(centred, axis=1), ((0, 0), (1, 0)))
    squares = np.pad(np.cumsum(np.square(centred).sum(axis=0)), (1, 0))
    return sums[:, start + n] - sums[:, start], squares[start + n] - squares[start]
