"""Checks of every clip and every chunk of sound: finite, in range, not silent and not clipped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Waveform
from metaser.runtime.errors import AudioError

SILENT_PEAK = 1e-3
"""-60 dBFS: a clip that is never louder contains no speech."""

FULL_SCALE = 0.999
CLIPPED_SHARE = 0.01
"""A clip with more than this share of its samples cut off is distorted."""

NEAR_PEAK, LEAST_PEAK = 0.9, 0.05
"""Three equal samples in a row, above this share of a peak above LEAST_PEAK, were cut off before the level was lowered:
speech has none, not even in 8 bits or as a telephone transmits it."""

OUT_OF_RANGE_PEAK = 2.0
"""Float files may overshoot 1 a little; beyond this they are not scaled to [-1, 1]."""


def check_samples(samples: npt.NDArray[np.float32], name: str) -> None:
    """Raise AudioError if samples are not finite or not scaled to [-1, 1]."""
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds NaN or infinite samples: export it again as 16-bit WAV or FLAC")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > OUT_OF_RANGE_PEAK:
        raise AudioError(f"{name} has samples up to {peak:g} but the range is [-1, 1]: scale it first")


def count_clipped(samples: npt.NDArray[np.float32]) -> int:
    """The number of samples, [T] or [T, channels], that were cut off: at full scale, or in a flat top below it."""
    if not len(samples):
        return 0
    magnitude = np.abs(samples)
    cut = magnitude >= FULL_SCALE
    peak = magnitude.max()
    if peak > LEAST_PEAK:
        equal = samples[1:] == samples[:-1]
        middle = equal[1:] & equal[:-1] & (magnitude[1:-1] >= NEAR_PEAK * peak)
        for first in range(3):
            cut[first : len(cut) - 2 + first] |= middle
    return int(np.count_nonzero(cut))


def check_clipping(share: float, name: str) -> None:
    """Raise AudioError if too large a share of a clip's samples is cut off."""
    if share > CLIPPED_SHARE:
        raise AudioError(
            f"{name} is clipped ({share:.0%} of its samples are cut off): record it again at a lower level"
        )


def check_waveform(waveform: Waveform, name: str) -> None:
    """Raise AudioError if a clip at 16 kHz is empty or silent."""
    if not len(waveform):
        raise AudioError(f"{name} holds no samples: record it again")
    peak = float(np.abs(waveform).max())
    if peak < SILENT_PEAK:
        raise AudioError(
            f"{name} is silent (its peak is {peak:.1e}, speech needs {SILENT_PEAK:g}): "
            "check the microphone and record it again"
        )
