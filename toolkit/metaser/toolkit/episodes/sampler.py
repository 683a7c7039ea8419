"""Sample N-way K-shot episodes from a list of utterances: seeded, resumable, in the three speaker splits.

Letters: N classes per episode, K shots, Q queries of a class, Q at most n_query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metaser.runtime.errors import InputError
from metaser.toolkit.data.utterances import Column, Indices, Utterance
from metaser.toolkit.episodes.class_pools import make_groups
from metaser.toolkit.episodes.protocol import SPLITS, EpisodeSettings, Sampling, SpeakerSplit, Split, split_of

__all__ = [
    "SPLITS",
    "Episode",
    "EpisodeSampler",
    "EpisodeSettings",
    "Indices",
    "Sampling",
    "SpeakerSplit",
    "Split",
    "split_of",
]


@dataclass(frozen=True, eq=False)
class Episode:
    """The clips of one episode, as indices into the sampler's utterances."""

    classes: tuple[str, ...]
    """N names in random order: the label, prefixed by `corpus/` under free sampling."""
    support: Indices
    """[N, K]"""
    query: tuple[Indices, ...]
    """N arrays [Q]; Q can differ between classes."""

    @property
    def support_targets(self) -> Indices:
        """The position in `classes` of each clip of `support.ravel()`, [N · K]."""
        return np.repeat(np.arange(len(self.support)), self.support.shape[1])

    @property
    def query_indices(self) -> Indices:
        """All queries, class by class, [sum of Q]."""
        return np.concatenate(self.query)

    @property
    def query_targets(self) -> Indices:
        """The position in `classes` of each of `query_indices`, [sum of Q]."""
        return np.repeat(np.arange(len(self.query)), [len(clips) for clips in self.query])


class EpisodeSampler:
    """Draws episodes; episode `index` depends only on the utterances, the settings, the seed and `index`.

    So a run resumes at any index, and ranks share a run by taking different indices. With `column` 'speaker', speakers
    are the classes and the speaker split must be 'any'. Utterances whose `column` is empty are skipped. Classes (and
    with 'same', speakers) with too few clips are skipped if enough others remain.

    Raises:
        InputError: there are too few classes, clips or speakers for the settings; the message has the numbers.
    """

    def __init__(
        self, utterances: Sequence[Utterance], settings: EpisodeSettings, seed: int, column: Column = "label"
    ) -> None:
        if seed < 0:
            raise InputError(f"the seed is {seed} and must be at least 0")
        self.utterances = tuple(utterances)
        self.settings = settings
        self.seed = seed
        self.column = column
        self._groups = make_groups(self.utterances, settings, column)

    def draw(self, index: int) -> Episode:
        """Episode number `index`, counted from 0; always the same."""
        settings = self.settings
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        group = self._groups[rng.integers(len(self._groups))]
        pool = group[rng.integers(len(group))]
        sides = [(clips, clips) for clips in pool.clips]
        eligible = np.arange(len(pool.classes))
        if settings.speaker_split == "disjoint":
            in_support = pool.draw_half(settings, rng)  # [speakers] bool
            eligible = pool.eligible(in_support, settings.k_shot)
            halves = [in_support[speakers] for speakers in pool.speakers]  # [clips] bool per class
            sides = [(clips[half], clips[~half]) for clips, half in zip(pool.clips, halves, strict=True)]
        chosen = rng.choice(eligible, settings.n_way, replace=False)  # [N]
        support = [rng.permutation(sides[number][0])[: settings.k_shot] for number in chosen]
        rest = [np.setdiff1d(sides[number][1], taken) for number, taken in zip(chosen, support, strict=True)]
        query = [rng.permutation(clips)[: settings.n_query] for clips in rest]
        return Episode(tuple(pool.classes[number] for number in chosen), np.stack(support), tuple(query))

    def episodes(self, count: int, start: int = 0) -> Iterator[Episode]:
        """Episodes `start` to `start + count - 1`."""
        return (self.draw(index) for index in range(start, start + count))
