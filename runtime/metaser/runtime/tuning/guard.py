"""Fine-tuning a head on a support set, and the guard that keeps it only where clips it was not tuned on gain.

Letters: M support clips, N frames, D frame width, E embedding size, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embeddings, HeadParameters
from metaser.runtime.errors import SupportError, WorkError
from metaser.runtime.scoring.decision import prototype, unit
from metaser.runtime.tuning.head import HeadTuner, HeadTuningSettings, SupportFrames
from metaser.runtime.tuning.steps import Indices

MAX_FOLDS = 5
COOLINGS = np.geomspace(1, 64, 61)
"""Factors on a head's temperature that the guard tries; calibration is never made hotter on so few clips."""

Pool: TypeAlias = Callable[[HeadParameters, SupportFrames], Embeddings]
"""The embeddings [M, E] of a support set by a head."""


@dataclass(frozen=True)
class Guard:
    """What the guard measured: the mean log-loss of clips that neither prototypes nor tuning had seen.

    Each head is judged at its own best temperature: tuning makes a head more sure of itself, which costs log-loss and
    is not what the guard is to find.
    """

    folds: int
    log_loss_before: float
    log_loss_after: float
    cooling: float = 1.0
    """What the tuned head's temperature has to be multiplied by, to be as sure as it may be."""

    @property
    def gain(self) -> float:
        """The share of the log-loss that tuning removed; negative where it harmed."""
        return 1 - self.log_loss_after / self.log_loss_before


@dataclass(frozen=True)
class TuningOutcome:
    """The outcome of tuning."""

    head: HeadParameters | None
    """The tuned parameters; None where the guard refused them."""
    guard: Guard | None
    """None where a class has a single clip, which leaves nothing to measure on."""
    cosines: npt.NDArray[np.float64] | None = None
    """[M, C] of each clip to the prototypes, by a head tuned without its fold; None likewise."""


@dataclass(frozen=True)
class GuardedTuner:
    """All that tuning needs of a bundle."""

    head_tuner: HeadTuner
    pool: Pool
    head: HeadParameters
    """The bundle's own."""
    temperature: float
    """Of the calibration. Tuning works with logits of scale / temperature, with which confidence is computed."""
    settings: HeadTuningSettings

    def tune_if_useful(self, support: SupportFrames, *, force: bool) -> TuningOutcome:
        """Tune on all clips; without `force` only where the guard finds the gain that the settings ask for.

        Raises:
            SupportError: a class has a single clip and tuning is not forced.
            WorkError: tuning ran away to values that are no numbers.
        """
        guard = cosines = None
        if np.bincount(support.targets).min() > 1:
            guard, cosines = self.cross_fit(support)
        elif not force:
            raise SupportError(
                "a class has a single clip, too few to see whether tuning helps: "
                "add clips, or tune it anyway with --tune force"
            )
        if guard and not force and not guard.gain >= self.settings.margin:
            return TuningOutcome(None, guard)
        tuned = self.tune(support)
        cooled = np.asarray(tuned["scale"] / (guard.cooling if guard else 1.0), np.float32)
        return TuningOutcome({**tuned, "scale": cooled}, guard, cosines)

    def tune(self, support: SupportFrames) -> HeadParameters:
        """The head tuned on these clips; its scale is, as the bundle's is, still to be divided by the temperature."""
        scale = np.asarray(self.head["scale"] / self.temperature, np.float32)
        tuned = self.head_tuner.tune({**self.head, "scale": scale}, support, self.settings)
        if not all(np.isfinite(value).all() for value in tuned.values()):
            raise WorkError("fine-tuning diverged (weights that are not finite): enrol without --tune, or add clips")
        return {**tuned, "scale": np.asarray(tuned["scale"] * self.temperature, np.float32)}

    def measure(self, support: SupportFrames) -> Guard:
        """Cross-fitted log-loss without and with tuning: each fold is scored by what is learnt from the others."""
        return self.cross_fit(support)[0]

    def cross_fit(self, support: SupportFrames) -> tuple[Guard, npt.NDArray[np.float64]]:
        """What `measure` gives, and the cosines [M, C] of each clip to prototypes by a head tuned without its fold."""
        folds = fold_of(support.targets, self.settings.seed)
        classes = int(support.targets.max()) + 1
        cosines, logits = np.zeros((2, 2, len(folds), classes))
        for fold in range(folds.max() + 1):
            inner, outer = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            learnt, scored = support.take(inner), support.take(outer)
            for row, head in enumerate((self.head, self.tune(learnt))):
                cosines[row, outer] = self._cosines(head, learnt, scored)
                logits[row, outer] = float(head["scale"]) / self.temperature * cosines[row, outer]
        (before, _), (after, cooling) = (least_log_loss(own, support.targets) for own in logits)
        return Guard(int(folds.max()) + 1, before, after, cooling), cosines[1]

    def _cosines(self, head: HeadParameters, support: SupportFrames, queries: SupportFrames) -> npt.NDArray[np.float64]:
        embeddings = self.pool(head, support)
        numbers = range(support.targets.max() + 1)
        classes = unit(np.stack([prototype(embeddings[support.targets == number]) for number in numbers]))  # [C, E]
        return unit(self.pool(head, queries)) @ classes.T


def least_log_loss(logits: npt.NDArray[np.float64], targets: Indices) -> tuple[float, float]:
    """[M, C] logits -> the least mean log-loss when they are divided by a factor from 1 on, and that factor."""
    cooled = logits / COOLINGS[:, None, None]  # [coolings, M, C]
    log_sums = np.log(np.exp(cooled - cooled.max(-1, keepdims=True)).sum(-1)) + cooled.max(-1)
    losses = (log_sums - cooled[:, np.arange(len(targets)), targets]).mean(-1)
    return float(losses.min()), float(COOLINGS[losses.argmin()])


def fold_of(targets: Indices, seed: int) -> Indices:
    """[M] the fold of each clip: min(K, 5) folds for K clips in the smallest class, each class dealt out in turn."""
    count = min(int(np.bincount(targets).min()), MAX_FOLDS)
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(targets), np.int64)
    for number in range(targets.max() + 1):
        clips = rng.permutation(np.flatnonzero(targets == number))
        folds[clips] = np.arange(len(clips)) % count
    return folds
