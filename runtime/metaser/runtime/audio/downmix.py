"""Several channels to one: their mean, or the loudest of them if they cancel each other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Waveform

CELL_S = 0.02
MEMORY_S = 5.0
"""Time constant of the averaged power."""

CANCELLED = 0.5
"""Limit as a share of the mean's power for unrelated channels: below it the channels cancel."""

VANISHED = 0.02
"""A cell whose mean is below this share of that limit is a clear case, and earlier cells do not count."""

FAINT = 1e-3
"""A cell with less than this share of the averaged power is a pause."""

LEFT = 1.5
"""The channels cancel until the mean's power exceeds that limit by this factor."""

LOUDER = 4.0
"""Power ratio, 6 dB, at which a louder channel replaces the one in use."""


class Downmix:
    """The state of one source: push samples of all channels, get those of one.

    A balanced microphone on a stereo input gives right = -left, whose mean is silence. Samples are processed in cells
    of 20 ms counted from the start, so the chunk size does not change the result.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._cell = max(1, round(CELL_S * rate_hz))
        self._decay = math.exp(-CELL_S / MEMORY_S)
        self._limit = CANCELLED / channels**2  # of the sum of the channels' powers
        self._powers = [0.0] * channels
        self._mean_power = 0.0
        self._pending: npt.NDArray[np.float32] = np.zeros((0, channels), np.float32)
        self._channel: int | None = None
        self.notice = ""
        """One line once channels were found to cancel each other."""

    def push(self, samples: npt.NDArray[np.float32]) -> Waveform:
        """[T, channels] -> the samples [T] of all complete cells."""
        if samples.shape[1] == 1:
            return samples[:, 0]
        if len(self._pending):
            samples = np.concatenate([self._pending, samples])
        ready = len(samples) // self._cell * self._cell
        self._pending = samples[ready:]
        return self._mix(samples[:ready].reshape(-1, self._cell, samples.shape[1]))

    def finish(self) -> Waveform:
        """The remaining samples, at the end of the source."""
        rest, self._pending = self._pending, self._pending[:0]
        return self._mix(rest[None]) if len(rest) else np.zeros(0, np.float32)

    def _mix(self, cells: npt.NDArray[np.float32]) -> Waveform:
        """[cells, T, channels] -> [cells · T]"""
        planes = np.ascontiguousarray(np.moveaxis(cells, 2, 0))  # [channels, cells, T]
        mixed = planes[0].copy()  # [cells, T]
        for plane in planes[1:]:
            mixed += plane
        mixed /= len(planes)
        powers = _powers(planes).T.tolist()  # [cells, channels]
        mean_powers = _powers(mixed[None])[0].tolist()  # [cells]
        for number, (power, mean_power) in enumerate(zip(powers, mean_powers, strict=True)):
            self._powers = [self._decay * before + now for before, now in zip(self._powers, power, strict=True)]
            self._mean_power = self._decay * self._mean_power + mean_power
            if mean_power < VANISHED * self._limit * sum(power) and sum(power) > FAINT * sum(self._powers):
                self._powers, self._mean_power = power, mean_power
            self._choose()
            if self._channel is not None:
                mixed[number] = planes[self._channel, number]
        return mixed.reshape(-1)

    def _choose(self) -> None:
        limit = self._limit if self._channel is None else LEFT * self._limit
        if self._mean_power >= limit * sum(self._powers):
            self._channel = None
            return
        loudest = self._powers.index(max(self._powers))
        if self._channel is None or self._powers[loudest] > LOUDER * self._powers[self._channel]:
            self._channel = loudest
            self.notice = self.notice or (
                "its channels cancel each other, as one of them is wired in reverse: "
                f"channel {loudest + 1} was used alone"
            )


def _powers(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[channels, cells, T] -> [channels, cells], without a constant offset, which is not sound."""
    energy = np.einsum("kct,kct->kc", planes, planes)
    offset = np.square(planes.sum(axis=2)) / planes.shape[2]
    return np.maximum(energy - offset, 0)
