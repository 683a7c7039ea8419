"""Seeds of every random number of a training run: the run's seed, a purpose and the number of the episode.

So an episode is the same in every process, and after any interruption.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """Purpose of the numbers; streams of different purposes are independent."""

    WAVEFORMS = 0
    MASKS = 1
    DROPOUT = 2
    WHITENING = 3
    VARIANTS = 4


def generator(seed: int, purpose: Purpose, index: int) -> np.random.Generator:
    """The random generator for one purpose of episode `index`."""
    return np.random.default_rng(_sequence(seed, purpose, index))


def seed_dropout(seed: int, index: int) -> None:
    """Seed torch's global generator, the only one that dropout uses, for episode `index`."""
    torch.manual_seed(int(_sequence(seed, Purpose.DROPOUT, index).generate_state(1, np.uint64)[0]))


def _sequence(seed: int, purpose: Purpose, index: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(purpose, index))
