"""Two channels that are read as one: their samples alternate, so each nearly repeats the one before.

    one channel      a b c d e f       all steps from sample to sample are alike
    two as one       a a b b c c       every second step is small

Samples that were doubled from a lower rate look the same.
"""

from __future__ import annotations

import numpy as np

from metaser.runtime.arrays import Waveform

SMALL_STEPS = 0.4
"""The power of every second step is this share of the others' or less; in one channel it is 0.8 at least."""

FEWEST_SAMPLES = 8_000

REPEATS = (
    "repeats each sample: it seems to be two channels that are read as one, or doubled from a lower rate; "
    "take every second sample"
)


class RepeatCheck:
    """Whether a source repeats its samples, by all of them so far."""

    def __init__(self) -> None:
        self._powers = np.zeros(2)  # of the steps to samples at even and at odd places
        self._last: Waveform = np.zeros(0, np.float32)
        self._samples = 0

    def push(self, samples: Waveform) -> None:
        """Count these samples, [T]."""
        steps = np.square(np.diff(np.concatenate([self._last, samples]), axis=0).astype(np.float64))
        first = self._samples + len(samples) - len(steps)  # the place of the sample that the first step leads to
        for place in range(2):
            self._powers[(first + place) % 2] += steps[place::2].sum()
        self._samples += len(samples)
        self._last = samples[-1:] if len(samples) else self._last

    @property
    def repeats(self) -> bool:
        """Whether every second step is much smaller than the others."""
        return self._samples >= FEWEST_SAMPLES and is_repeated(float(self._powers[0]), float(self._powers[1]))


def is_repeated(one: float, other: float) -> bool:
    """Whether the power of every second step is much smaller than that of the others."""
    return min(one, other) < SMALL_STEPS * max(one, other)


def repeats(samples: Waveform) -> bool:
    """Whether a clip, [T], repeats its samples."""
    check = RepeatCheck()
    check.push(samples)
    return check.repeats
