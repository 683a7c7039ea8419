"""Shared parts of all experiments: clips by protocol, budget, and the accuracy of embeddings and heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.specs import TRAINED_ON, Rows, Spec, rows_of, sampler_of
from benchmarks.research.experiments_frames import FrameStore
from metaser.toolkit.episodes.sampler import EpisodeSampler, Sampling, Split
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate
from metaser.toolkit.model.network import Head


@dataclass(frozen=True)
class Recipe:
    """An arm of a comparison."""

    head: str = "glu"
    corpora: tuple[str, ...] = TRAINED_ON
    sampling: Sampling = "within"
    objective: Literal["episodes", "labels"] = "episodes"
    adversary: float = 0.0
    """Maximum strength of the reversed gradient of the corpus discriminator."""
    column: Literal["label", "speaker"] = "label"
    rate: float = 1e-3
    """The full learning rate of AdamW."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A head and its training history."""

    head: Head
    validation: tuple[float, ...]
    """Accuracy on validation speakers, check after check."""
    domain_accuracy: float | None
    """Accuracy of the adversary, over the last quarter of the steps."""


@dataclass(frozen=True)
class Budget:
    """The budget; an arm has one head per seed."""

    seeds: int = 5
    episodes: int = 400
    """Training episodes, or batches, of a head."""
    validate_every: int = 100
    validation_episodes: int = 100
    """Of each corpus."""
    test_episodes: int = 600
    """Episodes per corpus and speaker split, the same for all heads."""
    tuning_episodes: int = 200
    """Episodes per corpus and speaker split, distributed over the seeds, to compare tuning."""
    choice_episodes: int = 20
    """Episodes per validation corpus and speaker split, to choose rate and steps of a tuning."""


@dataclass(frozen=True, eq=False)
class Lab:
    """The clips and the budget; trained heads are cached, so that experiments share them."""

    store: FrameStore
    budget: Budget
    trained: dict[tuple[Recipe, int], Trained] = field(default_factory=dict)

    def rows(self, corpora: Sequence[str], split: Split | Literal["all"]) -> Rows:
        """The clips of one partition of some corpora."""
        return rows_of(self.store.utterances, corpora, split)

    def sampler(self, spec: Spec) -> tuple[Rows, EpisodeSampler]:
        """The clips of a figure, and its episodes over them."""
        return sampler_of(self.store.utterances, spec)

    def evaluate_head(self, head: Head, spec: Spec) -> Evaluation:
        """Evaluate a head on the episodes of a figure."""
        return self.evaluate_rows(spec, self.store.embed(head, self.rows([spec.corpus], spec.split)))

    def evaluate_rows(self, spec: Spec, embeddings: npt.NDArray[np.float32]) -> Evaluation:
        """Evaluate embeddings [clips of the figure, E] on its episodes."""
        rows, sampler = self.sampler(spec)
        validating = spec.split == "validation"
        count = self.budget.validation_episodes if validating else self.budget.test_episodes
        return evaluate(self.store.embedded(rows, embeddings), sampler, count)
