"""Checks of every clip and every chunk of sound: finite, in range and not silent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Waveform
from metaser.runtime.errors import AudioError

SILENT_PEAK = 1e-3
"""-60 dBFS: a clip that is never louder contains no speech."""

OUT_OF_RANGE_PEAK = 2.0
"""Float files may overshoot 1 a little; beyond this they are not scaled to [-1, 1]."""


def check_samples(samples: npt.NDArray[np.float32], name: str) -> None:
    """Raise AudioError if samples are not finite or not scaled to [-1, 1]."""
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds NaN or infinite samples: export it again as 16-bit WAV or FLAC")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > OUT_OF_RANGE_PEAK:
        raise AudioError(f"{name} has samples up to {peak:g} but the range is [-1, 1]: scale it first")


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
