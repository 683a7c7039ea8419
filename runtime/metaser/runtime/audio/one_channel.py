"""Conversion of blocks of any channel count and rate to one channel at one rate, with notices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.checks import check_samples
from metaser.runtime.audio.distortion import Distortion
from metaser.runtime.audio.downmix import Downmix
from metaser.runtime.audio.resampler import resample
from metaser.runtime.audio.ring import Chunk

CHUNK_S = 0.1

Blocks: TypeAlias = "Iterator[tuple[npt.NDArray[np.float32], int]]"
"""([T, channels] samples, their rate in Hz)"""


class OneChannel:
    """Convert a source's blocks to one channel, at the rate of the first block."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.distortion = Distortion()
        """Of all channels."""

        self.rate_hz = 0
        """Known after the first block."""

        self.samples = 0
        """Number of samples so far, at `rate_hz`."""

        self.notice = ""
        """One line if channels cancelled each other."""

    def mix(self, blocks: Blocks) -> Iterator[Waveform]:
        """Yield [T] samples; none of the blocks is empty.

        Raises:
            AudioError: samples are NaN, or far out of [-1, 1].
        """
        for (rate_hz, channels), group in groupby(blocks, lambda each: (each[1], each[0].shape[1])):
            self.rate_hz = self.rate_hz or rate_hz
            downmix = Downmix(rate_hz, channels)
            mixed = chain((downmix.push(self._checked(block)) for block, _ in group), _last(downmix))
            for block in resample(mixed, rate_hz, self.rate_hz):
                if len(block):
                    self.samples += len(block)
                    yield block
            self.notice = downmix.notice or self.notice

    def chunks(self, mixed: Iterable[Waveform]) -> Iterator[Chunk]:
        """Cut the blocks of `mix` into pieces of at most 0.1 s, short enough for timely labels."""
        for block in mixed:
            size = max(1, int(CHUNK_S * self.rate_hz))
            for start in range(0, len(block), size):
                yield Chunk(block[start : start + size], self.rate_hz)

    def _checked(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        check_samples(block, self._name)
        self.distortion.push(block)
        return block


def _last(downmix: Downmix) -> Iterator[Waveform]:
    yield downmix.finish()
