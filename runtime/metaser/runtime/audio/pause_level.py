"""The level of the pauses of a stream: the median of their chunks, which the ends of words do not raise."""

from __future__ import annotations

import numpy as np

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.quality import MIN_POWER
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES

QUIETEST_DB = round(10 * np.log10(MIN_POWER))


class PauseLevel:
    """Counts the chunks of pauses by their level in whole dB."""

    def __init__(self) -> None:
        self._counts = np.zeros(1 - QUIETEST_DB, np.int64)

    def add(self, chunk: Waveform) -> None:
        """Count a chunk, [T], with a peak of at most 1."""
        level_db = 10 * np.log10(max(float(chunk @ chunk) / len(chunk), MIN_POWER))
        self._counts[min(round(level_db), 0) - QUIETEST_DB] += 1

    @property
    def duration_s(self) -> float:
        """How long the pauses were together."""
        return int(self._counts.sum()) * CHUNK_SAMPLES / SAMPLE_RATE_HZ

    @property
    def power(self) -> float:
        """The median of the chunks' mean squares, to half a dB; at least one chunk must have been counted."""
        reached = np.cumsum(self._counts) * 2 >= self._counts.sum()
        return float(10 ** ((QUIETEST_DB + int(np.argmax(reached))) / 10))
