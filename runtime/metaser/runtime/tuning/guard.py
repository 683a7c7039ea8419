"""Fine-tuning a head on a support set, and the guard that keeps it only if held-out clips improve.

Letters: M support clips, N frames, D frame width, E embedding size, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embeddings, HeadParameters
from metaser.runtime.errors import SupportError, WorkError
from metaser.runtime.scoring.classifier import Classifier
from metaser.runtime.tuning.head import HeadTuner, HeadTuningSettings, SupportFrames
from metaser.runtime.tuning.steps import Indices

MAX_FOLDS = 5
COOLINGS = np.geomspace(1, 64, 61)
"""Factors on a head's temperature that the guard tries; none is below 1, as there are too few clips for that."""

Pool: TypeAlias = Callable[[HeadParameters, SupportFrames], Embeddings]
"""Support set, head -> embeddings [M, E]."""


@dataclass(frozen=True)
class Guard:
    """The guard's measurement: the mean log-loss of clips that neither prototypes nor tuning had seen.

    Each head is measured at its own best temperature: tuning makes a head more confident, which raises the log-loss
    and is not what the guard looks for.
    """

    folds: int
    log_loss_before: float
    log_loss_after: float
    cooling: float = 1.0
    """Factor on the temperature that corrects the tuned head's overconfidence."""

    margin: float = field(default=0.0, compare=False)
    """The least gain that keeps a head, unless it is forced."""

    @property
    def gain(self) -> float:
        """The share of the log-loss that tuning removed; negative if it harmed."""
        return 1 - self.log_loss_after / self.log_loss_before


@dataclass(frozen=True, eq=False)
class TuningOutcome:
    """The outcome of tuning."""

    head: HeadParameters | None
    """The tuned parameters; None if the guard refused them."""
    guard: Guard | None
    """None if a class has a single clip, which leaves nothing to measure on."""
    cosines: npt.NDArray[np.float64] | None = None
    """[M, C] cosines of each clip to the prototypes, by a head tuned without its fold; None likewise."""


@dataclass(frozen=True, eq=False)
class GuardedTuner:
    """Tuning of a bundle's head, with the guard."""

    head_tuner: HeadTuner
    pool: Pool
    head: HeadParameters
    """The bundle's own."""
    temperature: float
    """The bundle's temperature. Tuning uses logits of scale / temperature, as the confidence does."""
    settings: HeadTuningSettings

    def tune_if_useful(self, support: SupportFrames, *, force: bool) -> TuningOutcome:
        """Tune on all clips; without `force` only if the guard measures the gain that the settings require.

        Raises:
            SupportError: a class has a single clip and tuning is not forced.
            WorkError: tuning diverged (weights that are not finite).
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
        """The head tuned on these clips; its scale, like the bundle's, has not been divided by the temperature."""
        scale = np.asarray(self.head["scale"] / self.temperature, np.float32)
        tuned = self.head_tuner.tune({**self.head, "scale": scale}, support, self.settings)
        if not all(np.isfinite(value).all() for value in tuned.values()):
            raise WorkError("fine-tuning diverged (weights that are not finite): enrol without --tune, or add clips")
        return {**tuned, "scale": np.asarray(tuned["scale"] * self.temperature, np.float32)}

    def measure(self, support: SupportFrames) -> Guard:
        """Cross-fitted log-loss without and with tuning: each fold is scored by a head tuned on the others."""
        return self.cross_fit(support)[0]

    def cross_fit(self, support: SupportFrames) -> tuple[Guard, npt.NDArray[np.float64]]:
        """As `measure`, and the cosines [M, C] of each clip to prototypes by a head tuned without its fold."""
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
        return Guard(int(folds.max()) + 1, before, after, cooling, self.settings.margin), cosines[1]

    def _cosines(self, head: HeadParameters, support: SupportFrames, queries: SupportFrames) -> npt.NDArray[np.float64]:
        return Classifier.fit(self.pool(head, support), support.targets).cosines(self.pool(head, queries))


def least_log_loss(logits: npt.NDArray[np.float64], targets: Indices) -> tuple[float, float]:
    """[M, C] logits -> the lowest mean log-loss over division by a factor of at least 1, and that factor."""
    cooled = logits / COOLINGS[:, None, None]  # [coolings, M, C]
    log_sums = np.log(np.exp(cooled - cooled.max(-1, keepdims=True)).sum(-1)) + cooled.max(-1)
    losses = (log_sums - cooled[:, np.arange(len(targets)), targets]).mean(-1)
    return float(losses.min()), float(COOLINGS[losses.argmin()])


def fold_of(targets: Indices, seed: int) -> Indices:
    """[M] the fold of each clip: min(K, 5) folds for K clips in the smallest class; classes are spread evenly."""
    count = min(int(np.bincount(targets).min()), MAX_FOLDS)
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(targets), np.int64)
    for number in range(targets.max() + 1):
        clips = rng.permutation(np.flatnonzero(targets == number))
        folds[clips] = np.arange(len(clips)) % count
    return folds
