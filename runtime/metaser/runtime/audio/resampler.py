"""Resampling a stream to 16 kHz, in blocks of one size, so that the chunk size does not change the result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform

BLOCK_S = 0.02


class Resampler:
    """The state of one stream: push samples at its rate, get the samples at 16 kHz that are ready."""

    def __init__(self, rate_hz: int) -> None:
        self._block = max(1, round(BLOCK_S * rate_hz))
        self._stream = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        )
        self._pending: Waveform = np.zeros(0, np.float32)

    def push(self, samples: Waveform) -> Waveform:
        """Take samples, return the samples at 16 kHz that are ready."""
        if self._stream is None:
            return samples
        self._pending = np.concatenate([self._pending, samples])
        ready = len(self._pending) // self._block * self._block
        blocks, self._pending = self._pending[:ready].reshape(-1, self._block), self._pending[ready:]
        return np.concatenate([np.zeros(0, np.float32), *(self._stream.resample_chunk(block) for block in blocks)])

    def finish(self) -> Waveform:
        """The remaining samples, at the end of the stream."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        return self._stream.resample_chunk(self._pending, last=True)


def resample(blocks: Iterable[Waveform], rate_hz: int, to_hz: int) -> Iterator[Waveform]:
    """Yield mono blocks at `rate_hz` as blocks at `to_hz`; together they equal resampling the whole at once."""
    if rate_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, to_hz, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
