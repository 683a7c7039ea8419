"""What all experiments share: the clips by protocol, how much is done, and the accuracy of embeddings and heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.experiments_frames import FrameStore, Rows
from metaser.toolkit.corpora import Column, Utterance
from metaser.toolkit.episodes import EpisodeSampler, EpisodeSettings, SpeakerSplit, Split, split_of
from metaser.toolkit.evaluate import Evaluation, evaluate
from metaser.toolkit.network import Head

if TYPE_CHECKING:
    from benchmarks.experiments_training import Recipe, Trained

TRAINED_ON = ("ravdess", "emodb", "nemo")
UNSEEN = "urdu"
TEST_SEED = 0
VALIDATION_SEED = 1


@dataclass(frozen=True)
class Budget:
    """How much is done; an arm is as many heads as there are seeds."""

    seeds: int = 5
    episodes: int = 400
    """Training episodes, or batches, of a head."""
    validate_every: int = 100
    validation_episodes: int = 100
    """Of each corpus."""
    test_episodes: int = 600
    """Of each corpus and speaker split, the same for all heads."""
    tuning_episodes: int = 200
    """Of each corpus and speaker split, shared out among the seeds; tuning is compared on these."""
    choice_episodes: int = 20
    """Of each validation corpus and speaker split, to choose rate and steps of a tuning."""


@dataclass(frozen=True)
class Spec:
    """Which episodes a figure is of."""

    corpus: str
    speakers: SpeakerSplit = "disjoint"
    n_way: int = 4
    k_shot: int = 5
    column: Column = "label"
    split: Split | Literal["all"] = "test"

    @property
    def name(self) -> str:
        """Such as 'urdu disjoint'."""
        return f"{self.corpus} {self.speakers if self.column == 'label' else self.column}"


def rows_of(utterances: Sequence[Utterance], corpora: Sequence[str], split: Split | Literal["all"]) -> Rows:
    """The positions of a part of some corpora."""
    found = [row for row, clip in enumerate(utterances) if clip.corpus in corpora and split in ("all", split_of(clip))]
    return np.array(found, dtype=np.int64)


def sampler_of(utterances: Sequence[Utterance], spec: Spec) -> tuple[Rows, EpisodeSampler]:
    """The positions of the clips of a figure, and its episodes over them."""
    rows = rows_of(utterances, [spec.corpus], spec.split)
    settings = EpisodeSettings(spec.n_way, spec.k_shot, speaker_split=spec.speakers)
    seed = VALIDATION_SEED if spec.split == "validation" else TEST_SEED
    return rows, EpisodeSampler([utterances[row] for row in rows], settings, seed, spec.column)


TESTS = (
    *(Spec(corpus) for corpus in (*TRAINED_ON, UNSEEN)),
    *(Spec(corpus, "same") for corpus in TRAINED_ON),  # nobody in the Urdu corpus has four emotions
)


@dataclass(frozen=True, eq=False)
class Lab:
    """The clips and the budget; trained heads are kept, so that experiments share them."""

    store: FrameStore
    budget: Budget
    trained: dict[tuple[Recipe, int], Trained] = field(default_factory=dict)

    def rows(self, corpora: Sequence[str], split: Split | Literal["all"]) -> Rows:
        """The clips of a part of some corpora."""
        return rows_of(self.store.utterances, corpora, split)

    def sampler(self, spec: Spec) -> tuple[Rows, EpisodeSampler]:
        """The clips of a figure, and its episodes over them."""
        return sampler_of(self.store.utterances, spec)

    def evaluate_head(self, head: Head, spec: Spec) -> Evaluation:
        """A head on the episodes of a figure."""
        return self.evaluate_rows(spec, self.store.embed(head, self.rows([spec.corpus], spec.split)))

    def evaluate_rows(self, spec: Spec, embeddings: npt.NDArray[np.float32]) -> Evaluation:
        """Embeddings [clips of the figure, E] on its episodes."""
        rows, sampler = self.sampler(spec)
        validating = spec.split == "validation"
        count = self.budget.validation_episodes if validating else self.budget.test_episodes
        return evaluate(self.store.embedded(rows, embeddings), sampler, count)
