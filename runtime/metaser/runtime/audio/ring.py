"""A bounded buffer of samples between the recording and the working thread; lost samples are counted."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Waveform


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some samples of a source; may be empty if nothing arrived for a while."""

    samples: Waveform
    """[T] mono at `rate_hz`."""

    rate_hz: int
    heard_at: float | None = None
    """Arrival time of the last sample by `time.perf_counter`; None for pulled sources."""

    dropped_ms: float = 0.0
    """Audio lost so far. It is replaced by silence, so that times stay correct."""


class Ring:
    """Write blocks from one thread, read all samples from another; a full ring loses its oldest samples."""

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self._store: npt.NDArray[np.float32] = np.zeros((capacity, channels), np.float32)
        self._written = 0  # samples in all
        self._read = 0
        self._lost = 0  # never read
        self._written_at = time.perf_counter()
        self._closed = False
        self._news = threading.Condition()

    @property
    def written_at(self) -> float:
        """Arrival time of the newest block."""
        return self._written_at

    @property
    def is_closed(self) -> bool:
        """Whether no more samples will come and all were read."""
        return self._closed and self._read == self._written

    def write(self, block: npt.NDArray[np.float32]) -> None:
        """Copy [T, channels] in."""
        capacity = len(self._store)
        with self._news:
            kept = block[-capacity:]
            begin = (self._written + len(block) - len(kept)) % capacity
            first = min(len(kept), capacity - begin)
            self._store[begin : begin + first] = kept[:first]
            self._store[: len(kept) - first] = kept[first:]
            self._written += len(block)
            self._written_at = time.perf_counter()
            self._news.notify()

    def close(self) -> None:
        """Mark the end of the source."""
        with self._news:
            self._closed = True
            self._news.notify()

    def skip(self) -> None:
        """Discard unread samples."""
        with self._news:
            self._read = self._written

    def read(self, timeout_s: float) -> tuple[npt.NDArray[np.float32], int, float]:
        """All samples [T, channels] since the last read, the number of lost ones, the arrival time of the newest.

        Lost samples are zeros before the others. If more were lost than the ring holds, they come in several reads, so
        that a long gap needs no extra memory.
        """
        capacity, channels = self._store.shape
        with self._news:
            if self._read == self._written and not self._closed:
                self._news.wait(timeout_s)
            lost = min(max(0, self._written - self._read - capacity), capacity)
            if lost == capacity:
                self._read += lost
                return np.zeros((lost, channels), np.float32), lost, self._written_at
            kept = self._store[np.arange(self._read + lost, self._written) % capacity]
            self._read = self._written
        return np.concatenate([np.zeros((lost, channels), np.float32), kept]), lost, self._written_at
