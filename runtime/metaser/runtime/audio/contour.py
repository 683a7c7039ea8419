"""The contour of a clip's speech, its energy in four bands over time, by which copies of a recording are found.

contour a  |--------------------|                each has 100 frames per second
contour b            |-----------------|         at every lag, the part that both have is correlated
overlap              |----------|                at least half a second, and 40 % of the shorter contour

The bands end at 3.4 kHz, and the correlation ignores the level. So a copy at half the volume, as MP3 or a telephone
transmits it, played up to a tenth faster or slower, or cut from the same recording, resembles its original more than
the same sentence spoken again does.

A contour is kept in the profile, as copies must be found when the recording is gone. It is too coarse to hear words.
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

COPY = 0.96
"""Two clips with at least this correlation are copies of one recording; few pairs of the same sentence spoken twice by
one actor in one emotion reach it, and most copies do: `python -m benchmarks.accuracy.copies`."""

LEAST_FRAMES = 50
LEAST_SHARE = 0.4
STEADY = 0.02
"""A part that varies by less than this share of the clip's power is steady: its correlation means nothing."""

SPEEDS, SPEED_STEP = tuple(np.linspace(0.9, 1.1, 11).tolist()), 0.0025
"""Speeds of a copy at which it is compared, and the step of the search around the best of them."""

COARSE = 4
"""Number of frames that are averaged for the first of two comparisons."""

UNLIKE = 0.7
"""Two clips with a lower correlation of their averaged frames are not compared further."""

Contour = npt.NDArray[np.uint8]
"""[4, N]"""


def contour_of(speech: Waveform) -> Contour:
    """Speech, float32 [T] at 16 kHz -> [4, N]: the loudness of each band in each hundredth of a second, 255 at most."""
    samples = speech[: round(LONGEST_S * SAMPLE_RATE_HZ)]
    if len(samples) < FRAME_SAMPLES:
        samples = np.pad(samples, (0, FRAME_SAMPLES - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]  # [N, 512]
    window = np.hanning(FRAME_SAMPLES).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames * window, axis=1)))  # [N, 257]
    edges = [round(hz * FRAME_SAMPLES / SAMPLE_RATE_HZ) for hz in BANDS_HZ]
    energy = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)  # [N, 4]
    loudness = energy.T**LOUDNESS
    return np.rint(loudness * (255 / max(float(loudness.max()), 1e-12))).astype(np.uint8)


class Prepared:
    """A contour with what does not depend on the other that it is compared with."""

    def __init__(self, contour: Contour) -> None:
        frames = contour.astype(np.float64)
        edges = np.arange(0, frames.shape[1], COARSE)
        averaged = np.add.reduceat(frames, edges, axis=1) / np.diff(edges, append=frames.shape[1])
        self._frames, self._plain = frames, _at_speeds(frames, (1.0,))
        self._averaged, self._played = _at_speeds(averaged, (1.0,)), _at_speeds(averaged, SPEEDS)

    def resemblance(self, other: Prepared) -> float:
        """The highest correlation over all speeds of the other and all lags; 0 if one is too short."""
        rough = _correlations(self._averaged, other._played, LEAST_FRAMES // COARSE)  # [S]
        best = int(rough.argmax())
        if rough[best] < UNLIKE:
            return float(rough[best])
        near = [1.0, *(SPEEDS[best] + SPEED_STEP * np.arange(-4, 5))]
        return float(_correlations(self._plain, _at_speeds(other._frames, near), LEAST_FRAMES).max())

    def is_copy_of(self, other: Prepared) -> bool:
        """Whether two clips are copies, or overlapping parts, of one recording."""
        return self.resemblance(other) >= COPY


def _correlations(one: _Played, other: _Played, least: int) -> npt.NDArray[np.float64]:
    """[S] the correlation of a contour with another at each speed, at the lag where it is highest; 0 if too short."""
    length = int(one.lengths[0])
    shorter = np.minimum(length, other.lengths)
    fewest = np.maximum(least, np.rint(LEAST_SHARE * shorter).astype(np.int64))[:, None]  # [S, 1]
    lags = np.arange(-other.lengths.max(), length)  # one[lag + t] is compared with other[t]
    start = np.maximum(0, lags)
    n = np.minimum(length, other.lengths[:, None] + lags) - start  # [S, L] frames of the overlap
    enough, n = n >= fewest, np.maximum(n, 1)
    size = 1 << (length + other.centred.shape[2] - 1).bit_length()
    spectra = np.fft.rfft(one.centred, size) * np.conj(np.fft.rfft(other.centred, size))
    products = np.fft.irfft(spectra.sum(axis=1), size)[:, lags]  # [S, L]
    sum_one, variance_one = one.over(start, n)
    sum_other, variance_other = other.over(start - lags, n)
    covariance = products - (sum_one * sum_other).sum(axis=1) / n
    return np.where(enough, covariance / np.sqrt(variance_one * variance_other), 0.0).max(axis=1, initial=0.0)


class _Played:
    """A contour at several speeds, [S, 4, N] with zeros beyond the lengths [S], and its sums over any part."""

    def __init__(self, contours: npt.NDArray[np.float64], lengths: npt.NDArray[np.int64]) -> None:
        self.lengths = lengths
        valid = (np.arange(contours.shape[2]) < lengths[:, None])[:, None]  # [S, 1, N]
        self.centred = (contours - contours.sum(axis=2, keepdims=True) / lengths[:, None, None]) * valid
        self._sums = np.pad(np.cumsum(self.centred, axis=2), ((0, 0), (0, 0), (1, 0)))
        self._squares = np.pad(np.cumsum(np.square(self.centred).sum(axis=1), axis=1), ((0, 0), (1, 0)))
        self._least = STEADY * np.square(contours).sum(axis=(1, 2)) / lengths + 1e-12  # [S]

    def over(
        self, start: npt.NDArray[np.int64], n: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Over `n` frames [S, L] from `start` [L]: the sum of each band [S, 4, L], and the variance times n [S, L]."""
        rows = np.arange(len(self.lengths))[:, None]
        end = np.minimum(start + n, self.centred.shape[2])
        sums = self._sums.transpose(0, 2, 1)
        sums = (sums[rows, end] - sums[:, start]).transpose(0, 2, 1)
        squares = self._squares[rows, end] - self._squares[:, start]
        return sums, np.maximum(squares - np.square(sums).sum(axis=1) / n, self._least[:, None] * n)


def _at_speeds(frames: npt.NDArray[np.float64], speeds: npt.ArrayLike) -> _Played:
    """[4, M] at S speeds -> [S, 4, M / lowest speed]"""
    steps = np.asarray(speeds)[:, None]
    last = frames.shape[1] - 1
    lengths = (last / steps + 1e-9).astype(np.int64)[:, 0] + 1
    places = np.minimum(np.arange(lengths.max()) * steps, last)
    before = np.minimum(places.astype(np.int64), max(0, last - 1))
    after = np.minimum(before + 1, last)
    played = frames[:, before] + (places - before) * (frames[:, after] - frames[:, before])  # [4, S, ...]
    valid = np.arange(lengths.max()) < lengths[:, None]
    return _Played(played.transpose(1, 0, 2) * valid[:, None], lengths)
