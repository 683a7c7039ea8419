"""Distortion of samples: cut off at full scale, cut off before their level was lowered, or overflowed as integers.

cut off         __          speech never has three equal samples at its peak, not even in 8 bits or from a telephone
               /  \\
overflowed     /  |         too large an integer continues at the other end of the range
              /   |  /
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metaser.runtime.errors import AudioError

FULL_SCALE = 0.999
NEAR_PEAK, LEAST_PEAK = 0.9, 0.05
"""Three equal samples in a row are a flat top above this share of a peak above LEAST_PEAK."""

CLIPPED_SHARE = 0.01
"""A clip with more than this share of its samples cut off is distorted."""

OVERFLOW_STEP, OVERFLOW_SHARE = 1.5, 0.001
"""A clip with more than this share of steps larger than this is of integers that overflowed."""


class Distortion:
    """Counts over the blocks of a source, [T] or [T, channels] at its own rate."""

    def __init__(self) -> None:
        self._samples = self._cut_off = self._overflows = 0

    def push(self, samples: npt.NDArray[np.float32]) -> None:
        """Count these samples."""
        self._samples += samples.size
        self._cut_off += count_cut_off(samples)
        self._overflows += int(np.count_nonzero(np.abs(np.diff(samples, axis=0)) > OVERFLOW_STEP))

    def fault(self, whole: float | None = None) -> str | None:
        """The fault of the source in a few words; None if there is none.

        Parameters:
            whole: the number of samples that the counts are a share of; None: all.
        """
        whole = self._samples if whole is None else whole
        cut_off, overflows = (min(1.0, count / max(1.0, whole)) for count in (self._cut_off, self._overflows))
        if cut_off > CLIPPED_SHARE:
            return f"is clipped ({cut_off:.0%} of its samples are cut off)"
        if overflows > OVERFLOW_SHARE:  # extremely clipped samples jump too
            return "overflows (its samples jump from one end of the range to the other)"
        return None

    def check(self, name: str) -> None:
        """Raise AudioError if the clip `name` is distorted."""
        if fault := self.fault():
            raise AudioError(f"{name} {fault}: record it again at a lower level")


def count_cut_off(samples: npt.NDArray[np.float32]) -> int:
    """The number of samples, [T] or [T, channels], at full scale or in a flat top below it."""
    if not len(samples):
        return 0
    cut = np.abs(samples) >= FULL_SCALE
    magnitude = np.abs(samples - samples.mean(axis=0))
    peak = magnitude.max()
    if peak > LEAST_PEAK:
        equal = samples[1:] == samples[:-1]
        middle = equal[1:] & equal[:-1] & (magnitude[1:-1] >= NEAR_PEAK * peak)
        for first in range(3):
            cut[first : len(cut) - 2 + first] |= middle
    return int(np.count_nonzero(cut))
