"""Samples of a client that wait for the model, as bytes; a full inbox loses its oldest, which are counted."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from metaser.runtime.audio.formats.pcm import RawFormat


@dataclass(frozen=True, eq=False)
class Taken:
    """What has arrived since the last time."""

    content: bytes
    """Whole frames."""

    lost_frames: int
    """Frames before these that were lost; they are replaced by silence, so that times stay correct."""

    seconds: float
    """Of these frames."""

    waiting_since: float
    """Arrival time of the first frame, by `time.perf_counter`."""

    heard_at: float
    """Arrival time of the last."""


MOST_BYTES = 2**24
"""What waits at most, also if it is a fraction of a second."""

BATCH_BYTES = 2**20
BATCH_S = 1.0
"""What is computed at once at most, so that streams take turns; a live stream computes all that it has at once, because
it skips what is late."""


class Inbox:
    """A buffer of messages, which may end within a frame; without a capacity nothing is lost."""

    def __init__(self, form: RawFormat, capacity_s: float | None = None) -> None:
        self._frame_bytes = form.frame_bytes
        self._bytes_per_s = form.rate_hz * form.frame_bytes
        whole = MOST_BYTES // form.frame_bytes
        self._capacity = None if capacity_s is None else min(round(capacity_s * form.rate_hz), whole) * form.frame_bytes
        batch = BATCH_BYTES if capacity_s is not None else min(BATCH_BYTES, round(BATCH_S * self._bytes_per_s))
        self._batch = max(1, batch // form.frame_bytes) * form.frame_bytes
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._lost = 0  # bytes, whole frames
        self._waiting_since = self._heard_at = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Audio that waits."""
        return self._size / self._bytes_per_s

    @property
    def is_full(self) -> bool:
        """Whether as many bytes wait as may."""
        return self._size >= MOST_BYTES

    @property
    def has_frames(self) -> bool:
        """Whether at least one whole frame waits."""
        return self._size >= self._frame_bytes

    def put(self, message: bytes) -> None:
        """Add a message; drop the oldest frames beyond the capacity."""
        self._heard_at = time.perf_counter()
        if not self.has_frames:
            self._waiting_since = self._heard_at
        self._waiting.append(message)
        self._size += len(message)
        if self._capacity is not None and self._size > self._capacity:
            excess = self._size - self._capacity
            self._drop(excess + -excess % self._frame_bytes)

    def take(self) -> Taken:
        """The oldest that has arrived, up to a batch, in whole frames; the rest stays."""
        whole = min(self._size // self._frame_bytes * self._frame_bytes, self._batch)
        content = self._remove(whole)
        lost, self._lost = self._lost // self._frame_bytes, 0
        return Taken(content, lost, whole / self._bytes_per_s, self._waiting_since, self._heard_at)

    def _drop(self, count: int) -> None:
        """Drop so many of the oldest bytes."""
        self._lost += count
        self._remove(count)

    def _remove(self, count: int) -> bytes:
        """Take so many of the oldest bytes out."""
        self._size -= count
        parts = []
        while count:
            first = self._waiting.popleft()
            if len(first) > count:
                self._waiting.appendleft(first[count:])
                first = first[:count]
            parts.append(first)
            count -= len(first)
        return b"".join(parts)
