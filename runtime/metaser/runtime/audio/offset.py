"""A constant offset of samples, as of cheap microphones: it is no sound, and changes labels if it stays.

Letters: T samples.
"""

from __future__ import annotations

import numpy as np

from metaser.runtime.arrays import Waveform

LEAST_OFFSET = 0.002
LEAST_SHARE = 0.05
"""A mean below this share of the sound's root mean square, or below LEAST_OFFSET, is left: all sound has one."""

FEW_CHUNKS_SHARE = 0.5
"""The share that the mean of one chunk has to exceed; of N chunks, this divided by the root of N."""

MEMORY_CHUNKS = 256
"""The offset of a stream is a mean over about this many chunks, 8 s."""


def without_offset(waveform: Waveform) -> Waveform:
    """A clip, float32 [T] at 16 kHz, without its mean if that is an offset."""
    if not len(waveform):
        return waveform
    mean = float(waveform.mean(dtype=np.float64))
    return waveform - np.float32(mean) if _is_offset(mean, float(waveform.std(dtype=np.float64)), 0.0) else waveform


class OffsetRemoval:
    """Removal of the offset of a stream, chunk by chunk; a stream without an offset is left exactly as it is."""

    def __init__(self) -> None:
        self._chunks = 0
        self._mean = self._power = 0.0
        self.offset = 0.0
        """The offset that is removed now; 0 if there was none so far."""

    def remove(self, chunk: Waveform) -> Waveform:
        """[T] -> [T]; all chunks are of the same length."""
        self._chunks += 1
        weight = max(1 / self._chunks, 1 / MEMORY_CHUNKS)
        self._mean += weight * (float(chunk.mean(dtype=np.float64)) - self._mean)
        self._power += weight * (float(chunk.var(dtype=np.float64)) - self._power)
        doubt = FEW_CHUNKS_SHARE / np.sqrt(self._chunks)
        if self.offset or _is_offset(self._mean, np.sqrt(self._power), doubt):
            self.offset = self._mean
            return chunk - np.float32(self.offset)
        return chunk


def _is_offset(mean: float, deviation: float, least_share: float) -> bool:
    return abs(mean) > max(LEAST_OFFSET, max(LEAST_SHARE, least_share) * deviation)
