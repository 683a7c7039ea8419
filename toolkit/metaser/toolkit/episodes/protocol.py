"""Protocol of every reported accuracy: held-out speakers and episode sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from metaser.runtime.errors import InputError
from metaser.toolkit.data.utterances import Utterance

Role: TypeAlias = Literal["train", "develop", "report"]
Split: TypeAlias = Literal["train", "validation", "test"]
SpeakerSplit: TypeAlias = Literal["disjoint", "same", "any"]
Sampling: TypeAlias = Literal["within", "free"]

MIN_SAME_SPEAKER_CLIPS = 8
MIN_SAME_SPEAKER_QUERIES = 3
"""With 'same', a person's class needs 8 clips, or more if K leaves fewer than 3 of them as queries."""

SPLITS: Mapping[Split, Mapping[str, frozenset[str]]] = {
    "validation": {
        "ravdess": frozenset({"15", "16", "17", "18"}),
        "crema-d": frozenset(str(actor) for actor in range(1067, 1077)),
        "emodb": frozenset({"11", "12"}),
        "nemo": frozenset({"KS0", "MP0"}),
        "emovo": frozenset({"f2", "m2"}),
        "emotiontts": frozenset({"ema", "emb"}),
    },
    "test": {
        "ravdess": frozenset({"19", "20", "21", "22", "23", "24"}),
        "crema-d": frozenset(str(actor) for actor in range(1077, 1092)),
        "emodb": frozenset({"13", "14", "15", "16"}),
        "nemo": frozenset({"SM0", "TP0", "WR0"}),
        "emovo": frozenset({"f3", "m3"}),
        "emotiontts": frozenset({"emf", "emg", "emh"}),
    },
}
"""Corpus to held-out speakers; all others train. Of emotiontts only speakers that read the same texts in every emotion
are held out."""

ROLES: Mapping[str, Role] = {"casia": "develop", "ased": "develop", "urdu": "report", "eyase": "report"}
"""Corpora that never train, so that their languages are unseen: `develop` to choose recipes and settings on, like the
validation speakers; `report` for reports only. All other corpora `train`."""


def role_of(corpus: str) -> Role:
    """What a corpus may be used for."""
    return ROLES.get(corpus, "train")


def split_of(utterance: Utterance) -> Split:
    """The partition of a clip, by its corpus and speaker: whole `develop` corpora validate, `report` corpora test."""
    role = role_of(utterance.corpus)
    if role != "train":
        return "validation" if role == "develop" else "test"
    for split, speakers in SPLITS.items():
        if utterance.speaker in speakers.get(utterance.corpus, frozenset()):
            return split
    return "train"


@dataclass(frozen=True)
class EpisodeSettings:
    """Settings of episode sampling.

    Raises:
        InputError: a number is too small or a word is not one of the choices.
    """

    n_way: int = 4
    k_shot: int = 5
    n_query: int = 15
    """Queries per class; fewer if the class has fewer."""
    speaker_split: SpeakerSplit = "disjoint"
    """`disjoint`: support from one random half of a corpus's speakers, queries from the other. `same`: all clips of an
    episode are by one person. `any`: speakers are ignored."""
    sampling: Sampling = "within"
    """`within`: an episode's classes come from one corpus, corpora drawn uniformly. `free`: from any corpus; a label of
    two corpora is two classes, as in MetaAudio (arXiv 2204.02121), so that a prototype is never a mean over corpora."""

    def __post_init__(self) -> None:
        for name, least in (("n_way", 2), ("k_shot", 1), ("n_query", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)} and must be at least {least}")
        for name, choices in (("speaker_split", get_args(SpeakerSplit)), ("sampling", get_args(Sampling))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(choices)}")

    @property
    def min_clips(self) -> int:
        """The minimum number of clips of a class."""
        if self.speaker_split == "same":
            return max(MIN_SAME_SPEAKER_CLIPS, self.k_shot + MIN_SAME_SPEAKER_QUERIES)
        return self.k_shot + 1
