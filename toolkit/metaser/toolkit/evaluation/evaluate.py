"""Few-shot accuracy by the protocol over many episodes, and the paired comparison of two runs.

Letters: M clips, E embedding size, C classes of the corpus, N classes of an episode, Q queries of an episode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embeddings
from metaser.runtime.errors import InputError
from metaser.runtime.scoring.classifier import Classifier
from metaser.toolkit.episodes.sampler import Episode, EpisodeSampler
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.evaluation.intervals import (
    Interval,
    episode_interval,
    interval_over_speakers,
    paired_interval,
    unweighted_recall,
)

Answers = npt.NDArray[np.int64]
"""[Q] class positions within an episode."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The predictions for every query of some episodes."""

    corpus: str
    protocol: Mapping[str, Any]
    """Settings, seed and column of the episodes."""
    episodes_id: str
    """A hash over the clip contents of every episode, to make pairing safe."""
    classes: tuple[str, ...]
    """C, sorted."""
    targets: tuple[Answers, ...]
    """One array [Q] per episode, positions in `classes`."""
    answers: tuple[Answers, ...]
    """The same for the predictions."""
    speakers: tuple[str, ...]
    """`corpus/speaker` of all queries, episode by episode; empty if unknown."""

    @cached_property
    def correct(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """One array [Q] per episode."""
        return tuple(target == answer for target, answer in zip(self.targets, self.answers, strict=True))

    @property
    def accuracy_by_episode(self) -> npt.NDArray[np.float64]:
        """[episodes]"""
        return np.array([correct.mean() for correct in self.correct])

    @property
    def accuracy(self) -> Interval:
        """The mean over episodes with its interval over episodes."""
        return episode_interval(self.accuracy_by_episode)

    @property
    def accuracy_by_speakers(self) -> Interval | None:
        """The mean over queries with its interval over speakers; None with fewer than two known speakers."""
        return interval_over_speakers(np.concatenate(self.correct), self.speakers)

    @property
    def recall(self) -> float:
        """Unweighted average recall over the classes."""
        return unweighted_recall(np.concatenate(self.targets), np.concatenate(self.answers))

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """[C, C] number of queries by class (rows) and prediction (columns)."""
        counts = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(counts, (np.concatenate(self.targets), np.concatenate(self.answers)), 1)
        return counts


@dataclass(frozen=True)
class Comparison:
    """The accuracy of one run minus that of another on the same episodes."""

    by_episodes: Interval
    by_speakers: Interval | None
    """None if there are fewer than two known speakers."""

    @property
    def decided(self) -> bool:
        """Whether both intervals exclude zero; False without one over speakers, because it covers no other voices."""
        return self.by_episodes.excludes_zero and self.by_speakers is not None and self.by_speakers.excludes_zero


def evaluate(embedded: Embedded, sampler: EpisodeSampler, count: int) -> Evaluation:
    """Classify the queries of `count` episodes from the embeddings; the sampler must draw from the same clips.

    Raises:
        InputError: there are fewer than 2 episodes.
    """
    if count < 2:
        raise InputError(f"{count} episodes: an interval needs at least 2")
    return evaluate_by(lambda episode: answer(embedded.embeddings, episode), sampler, embedded.digests, range(count))


def evaluate_by(
    answer_of: Callable[[Episode], Answers], sampler: EpisodeSampler, digests: Sequence[str], indices: range
) -> Evaluation:
    """Collect the predictions of a function, [Q] class positions per episode, for the episodes `indices`.

    `digests` holds a content hash for each of the sampler's clips.
    """
    clips = sampler.utterances
    episodes = [sampler.draw(index) for index in indices]
    classes = tuple(sorted({name for episode in episodes for name in episode.classes}))
    position = {name: number for number, name in enumerate(classes)}
    numbers = [np.array([position[name] for name in episode.classes]) for episode in episodes]
    queries = [clips[clip] for episode in episodes for clip in episode.query_indices]
    return Evaluation(
        corpus=", ".join(sorted({clip.corpus for clip in clips})),
        protocol={**asdict(sampler.settings), "seed": sampler.seed, "column": sampler.column, "episodes": len(indices)},
        episodes_id=_identify(episodes, digests),
        classes=classes,
        targets=tuple(own[episode.query_targets] for own, episode in zip(numbers, episodes, strict=True)),
        answers=tuple(own[answer_of(episode)] for own, episode in zip(numbers, episodes, strict=True)),
        speakers=tuple(f"{clip.corpus}/{clip.speaker}" if clip.speaker else "" for clip in queries),
    )


def answer(embeddings: Embeddings, episode: Episode) -> Answers:
    """[M, E] -> [Q] the class of each query, by the classifier of the runtime."""
    classifier = Classifier.fit(embeddings[episode.support.ravel()], episode.support_targets)
    return classifier.cosines(embeddings[episode.query_indices]).argmax(axis=1)


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """The paired accuracy difference, `first` minus `second`.

    Raises:
        InputError: they were not measured on the same episodes.
    """
    if first.episodes_id != second.episodes_id:
        differing = [
            f"{name} {value} and {second.protocol.get(name)}"
            for name, value in first.protocol.items()
            if second.protocol.get(name) != value
        ]
        raise InputError(
            f"the runs on {first.corpus} and {second.corpus} are not of the same episodes and cannot be paired "
            f"({', '.join(differing) or 'the clips differ'}): evaluate both with the same corpora, options and seed"
        )
    differences = np.concatenate(first.correct).astype(float) - np.concatenate(second.correct)
    return Comparison(
        paired_interval(first.accuracy_by_episode, second.accuracy_by_episode),
        interval_over_speakers(differences, first.speakers),
    )


def _identify(episodes: Sequence[Episode], digests: Sequence[str]) -> str:
    content = hashlib.sha256()
    for episode in episodes:
        content.update("\n".join(episode.classes).encode("utf-8", "surrogatepass"))
        for clips in (episode.support.ravel(), episode.query_indices):
            content.update("".join(digests[clip] for clip in clips).encode())
            content.update(b";")
    return content.hexdigest()
