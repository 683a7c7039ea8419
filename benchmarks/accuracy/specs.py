"""Evaluation specs: a corpus, a speaker split, N and K; and their clips and episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from metaser.toolkit.data.corpora import Column, Utterance
from metaser.toolkit.episodes.protocol import split_of
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, SpeakerSplit, Split

TRAINED_ON = ("ravdess", "emodb", "nemo")
"""The corpora of the experiments and of the first models."""
UNSEEN = "urdu"
TEST_SEED = 0
VALIDATION_SEED = 1

Rows = npt.NDArray[np.int64]
"""Positions in a list of clips."""


@dataclass(frozen=True)
class Spec:
    """Episodes of one figure."""

    corpus: str
    speakers: SpeakerSplit = "disjoint"
    n_way: int = 4
    k_shot: int = 5
    column: Column = "label"
    split: Split | Literal["all"] = "test"

    @property
    def name(self) -> str:
        """For example 'urdu disjoint'."""
        return f"{self.corpus} {self.speakers if self.column == 'label' else self.column}"


def rows_of(utterances: Sequence[Utterance], corpora: Sequence[str], split: Split | Literal["all"]) -> Rows:
    """Positions of the clips of one partition of some corpora."""
    found = [row for row, clip in enumerate(utterances) if clip.corpus in corpora and split in ("all", split_of(clip))]
    return np.array(found, dtype=np.int64)


def sampler_of(utterances: Sequence[Utterance], spec: Spec) -> tuple[Rows, EpisodeSampler]:
    """Positions of the clips of a spec, and its episodes."""
    rows = rows_of(utterances, [spec.corpus], spec.split)
    settings = EpisodeSettings(spec.n_way, spec.k_shot, speaker_split=spec.speakers)
    seed = VALIDATION_SEED if spec.split == "validation" else TEST_SEED
    return rows, EpisodeSampler([utterances[row] for row in rows], settings, seed, spec.column)


PROTOCOL = (
    *(Spec(corpus) for corpus in (*TRAINED_ON, "crema-d", "emovo", "emotiontts")),
    *(Spec(corpus, split="all") for corpus in ("casia", "ased", UNSEEN, "eyase")),
    *(Spec(corpus, "same") for corpus in (*TRAINED_ON, "emovo")),
)
"""Every corpus of the protocol: test speakers, and all speakers of corpora that never train."""

DEVELOP = (
    *(Spec(corpus, split="validation") for corpus in (*TRAINED_ON, "crema-d", "emovo", "casia", "ased")),
    *(Spec(corpus, "same", split="validation") for corpus in (*TRAINED_ON, "emovo")),
)
"""Validation speakers and corpora that choices may depend on. Of emotiontts too few clips are left for two splits."""

TESTS = (
    *(Spec(corpus) for corpus in (*TRAINED_ON, UNSEEN)),
    *(Spec(corpus, "same") for corpus in TRAINED_ON),  # no speaker of the Urdu corpus has four emotions
)
"""The figures of the experiments."""
