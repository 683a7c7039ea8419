"""Levels of a source: a meter for now, and a history for the timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaser.runtime.arrays import Waveform

RANGE_DB = 60
"""Range of the meter below full scale."""

FLOOR_DBFS = -100.0
MOMENT_S = 0.5
KEPT_MOMENTS = 72_000
"""Ten hours; a microphone stream may be longer."""


def level_dbfs(samples: Waveform) -> float:
    """Peak level of samples [T], in dBFS; -100 for no samples or digital silence."""
    import numpy as np

    return float(20 * np.log10(max(10 ** (FLOOR_DBFS / 20), float(np.abs(samples).max(initial=0.0)))))


def level_meter(level: float, cells: int) -> str:
    """-30 dBFS in six cells -> "[###---]"."""
    filled = round(cells * share_of_range(level))
    return f"[{'#' * filled}{'-' * (cells - filled)}]"


def share_of_range(level: float) -> float:
    """-60 dBFS and below -> 0, full scale -> 1."""
    return max(0.0, min(1.0, 1 + level / RANGE_DB))


class LevelHistory:
    """The peak of every half second, and whether there was speech in it."""

    def __init__(self) -> None:
        self._peaks: dict[int, float] = {}
        self._speech: set[int] = set()

    def add(self, level: float, end_s: float, *, in_speech: bool) -> None:
        """Add the level of a chunk that ends at `end_s` and is not longer than half a second."""
        moment = max(0, -int(-end_s // MOMENT_S) - 1)  # the one with the chunk's last sample
        self._peaks[moment] = max(level, self._peaks.get(moment, FLOOR_DBFS))
        if in_speech:
            self._speech.add(moment)
        if len(self._peaks) > KEPT_MOMENTS:
            oldest = next(iter(self._peaks))
            del self._peaks[oldest]
            self._speech.discard(oldest)

    def quiet_from(self, start_s: float) -> None:
        """Mark all time since `start_s` as without speech."""
        self._speech = {moment for moment in self._speech if moment * MOMENT_S < start_s}

    def peak(self, start_s: float, end_s: float) -> float:
        """The highest level between two times, in dBFS."""
        return max((self._peaks.get(moment, FLOOR_DBFS) for moment in _moments(start_s, end_s)), default=FLOOR_DBFS)

    def is_speech(self, start_s: float, end_s: float) -> bool:
        """Whether there was speech between two times."""
        return any(moment in self._speech for moment in _moments(start_s, end_s))


def _moments(start_s: float, end_s: float) -> range:
    return range(int(start_s // MOMENT_S), -int(-end_s // MOMENT_S))
