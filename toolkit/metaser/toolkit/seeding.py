"""Where every random number of a training run comes from: the run's seed, a purpose and the number of the episode.

So an episode is the same whichever process draws it, and after whichever interruption.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What the numbers are for; streams of different purposes are independent."""

    WAVEFORMS = 0
    MASKS = 1
    DROPOUT = 2
    WHITENING = 3
    VARIANTS = 4


def generator(seed: int, purpose: Purpose, index: int) -> np.random.Generator:
    """The numbers for one purpose of episode `index`."""
    return np.random.default_rng(_sequence(seed, purpose, index))


def seed_dropout(seed: int, index: int) -> None:
    """Seed torch's global generator, the only one that dropout takes, for episode `index`."""
    torch.manual_seed(int(_sequence(seed, Purpose.DROPOUT, index).generate_state(1, np.uint64)[0]))


def _sequence(seed: int, purpose: Purpose, index: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(purpose, index))
