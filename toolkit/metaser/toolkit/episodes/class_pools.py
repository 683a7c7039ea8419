"""Classes from which episodes are drawn, checked for enough clips and speakers before the first episode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.errors import InputError
from metaser.toolkit.data.utterances import Column, Indices, Utterance, classes_by
from metaser.toolkit.episodes.protocol import EpisodeSettings

MAX_HALVES = 2000
"""Maximum number of redraws of the speaker halves per episode."""
CHECKED_HALVES = 100
"""Number of halves tried before the first episode; if one of them fits, the redraws of an episode find one too."""
LISTED_CLASSES = 10
"""Number of classes that a message about a shortage lists."""


@dataclass(frozen=True, eq=False)
class Pool:
    """The classes of a corpus, of several, or of one person."""

    name: str
    classes: tuple[str, ...]
    clips: tuple[Indices, ...]
    """The utterances of each class."""
    speakers: tuple[Indices, ...]
    """The number of the speaker of each of `clips`."""
    corpora: tuple[Indices, ...]
    """The speaker numbers of each corpus."""
    counts: Indices
    """[classes, speakers] number of clips."""

    def eligible(self, in_support: npt.NDArray[np.bool_], k_shot: int) -> Indices:
        """Classes with K clips by the support speakers, [speakers] bool, and a query by the others."""
        return np.flatnonzero((self.counts @ in_support >= k_shot) & (self.counts @ ~in_support >= 1))

    def draw_half(
        self, settings: EpisodeSettings, rng: np.random.Generator, tries: int = MAX_HALVES
    ) -> npt.NDArray[np.bool_]:
        """Draw the support speakers, [speakers] bool: half of each corpus, rounded up.

        Raises:
            InputError: no drawn half leaves enough classes.
        """
        for _ in range(tries):
            in_support = np.zeros(self.counts.shape[1], dtype=np.bool_)
            for speakers in self.corpora:
                in_support[rng.permutation(speakers)[: (len(speakers) + 1) // 2]] = True
            if len(self.eligible(in_support, settings.k_shot)) >= settings.n_way:
                return in_support
        raise InputError(
            f"{self.name}: {tries} random halvings of its speakers ({len(in_support)}) never gave {settings.n_way} "
            f"classes {settings.k_shot} support clips in one half and a query in the other: take fewer shots or "
            "classes, or speaker_split 'any'"
        )


def make_groups(utterances: Sequence[Utterance], settings: EpisodeSettings, column: Column) -> list[list[Pool]]:
    """Pools by corpus ('within') or in one group ('free'); an episode draws a group, then one of its pools.

    Raises:
        InputError: there are too few classes, clips or speakers for the settings; the message has the numbers.
    """
    classes = _classes_by_corpus(utterances, column)
    if not classes:
        raise InputError(f"no clip has a {column}: episodes need {settings.n_way} classes")
    if column == "speaker" and settings.speaker_split != "any":
        raise InputError(f"speakers are the classes, so speaker_split must be 'any' and is {settings.speaker_split!r}")
    if settings.speaker_split != "any":
        _check_speakers_known(utterances, settings)
    if settings.sampling == "free":
        mixed = {f"{corpus}/{name}": clips for corpus, own in classes.items() for name, clips in own.items()}
        classes = {", ".join(classes): mixed}
    make = _pools_of_persons if settings.speaker_split == "same" else _pool_of_all
    return [make(name, own, utterances, settings) for name, own in classes.items()]


def _classes_by_corpus(utterances: Sequence[Utterance], column: Column) -> dict[str, dict[str, Indices]]:
    by_class = classes_by(utterances, column)
    classes: defaultdict[str, dict[str, Indices]] = defaultdict(dict)
    for corpus, members in classes_by(utterances, "corpus").items():
        for name, clips in by_class.items():
            if len(own := np.intersect1d(clips, members)):
                classes[corpus][name] = own
    return dict(classes)


def _check_speakers_known(utterances: Sequence[Utterance], settings: EpisodeSettings) -> None:
    if unknown := [utterance for utterance in utterances if not utterance.speaker]:
        raise InputError(
            f"{len(unknown)} of {len(utterances)} clips name no speaker (the first is {unknown[0].path.name}), and "
            f"speaker_split {settings.speaker_split!r} needs it: name them in a manifest, or use 'any'"
        )


def _pool_of_all(
    name: str, classes: Mapping[str, Indices], utterances: Sequence[Utterance], settings: EpisodeSettings
) -> list[Pool]:
    large = _large(classes, settings)
    if len(large) < settings.n_way:
        raise InputError(f"{name}: {_need(settings)}, and {_have(large, classes)}")
    pool = _make_pool(name, large, utterances)
    if settings.speaker_split == "disjoint":
        pool.draw_half(settings, np.random.default_rng(0), CHECKED_HALVES)
    return [pool]


def _pools_of_persons(
    name: str, classes: Mapping[str, Indices], utterances: Sequence[Utterance], settings: EpisodeSettings
) -> list[Pool]:
    by_person: defaultdict[str, dict[str, Indices]] = defaultdict(dict)
    for label, clips in classes.items():
        people = np.array([f"{utterances[clip].corpus}/{utterances[clip].speaker}" for clip in clips])
        for person in np.unique(people).tolist():
            by_person[person][label] = clips[people == person]
    large = {person: _large(own, settings) for person, own in sorted(by_person.items())}
    pools = [_make_pool(person, own, utterances) for person, own in large.items() if len(own) >= settings.n_way]
    if not pools:
        nearest = max(large, key=lambda person: len(large[person]))
        raise InputError(
            f"{name}: {_need(settings)} of one person, and none of its {len(large)} speakers has them; "
            f"of {nearest}, {_have(large[nearest], by_person[nearest])}"
        )
    return pools


def _make_pool(name: str, classes: Mapping[str, Indices], utterances: Sequence[Utterance]) -> Pool:
    people = [[(utterances[clip].corpus, utterances[clip].speaker) for clip in clips] for clips in classes.values()]
    everyone = sorted({person for own in people for person in own})
    number = {person: position for position, person in enumerate(everyone)}
    speakers = tuple(np.array([number[person] for person in own], dtype=np.int64) for own in people)
    corpus_of = np.array([corpus for corpus, _ in everyone])
    return Pool(
        name=name,
        classes=tuple(classes),
        clips=tuple(classes.values()),
        speakers=speakers,
        corpora=tuple(np.flatnonzero(corpus_of == corpus) for corpus in np.unique(corpus_of)),
        counts=np.stack([np.bincount(own, minlength=len(everyone)) for own in speakers]),
    )


def _large(classes: Mapping[str, Indices], settings: EpisodeSettings) -> dict[str, Indices]:
    return {name: clips for name, clips in classes.items() if len(clips) >= settings.min_clips}


def _need(settings: EpisodeSettings) -> str:
    return (
        f"{settings.n_way}-way {settings.k_shot}-shot with up to {settings.n_query} queries needs {settings.n_way} "
        f"classes of at least {settings.min_clips} clips"
    )


def _have(large: Mapping[str, Indices], classes: Mapping[str, Indices]) -> str:
    counts = [f"{name} has {len(clips)}" for name, clips in classes.items()]
    if len(counts) > LISTED_CLASSES:
        counts[LISTED_CLASSES:] = [f"{len(counts) - LISTED_CLASSES} more"]
    return f"{len(large)} of {len(classes)} are that large: {', '.join(counts)}"
