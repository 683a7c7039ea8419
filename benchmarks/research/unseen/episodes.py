"""Episodes of a recipe, mixed from several kinds of samplers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.research.unseen.recipe import Recipe
from metaser.toolkit.data.corpora import Utterance
from metaser.toolkit.data.utterances import Indices
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings

MANY_CLIPS_PER_SPEAKER = ("ravdess", "emodb", "nemo", "emovo")
"""Corpora with enough clips of one speaker and class for an episode."""


def chosen_speakers(recipe: Recipe, utterances: Sequence[Utterance]) -> dict[str, frozenset[str]]:
    """Corpus to the speakers that train, chosen at random."""
    chosen = {}
    for corpus in recipe.corpora:
        speakers = sorted({clip.speaker for clip in utterances if clip.corpus == corpus})
        np.random.default_rng(recipe.seed).shuffle(speakers)
        chosen[corpus] = frozenset(speakers[: recipe.speakers or None])
    return chosen


class Episodes:
    """Endless episodes over the clips of the recipe's corpora, as positions in `utterances`."""

    def __init__(self, recipe: Recipe, utterances: Sequence[Utterance]) -> None:
        self._recipe, self._rng = recipe, np.random.default_rng(recipe.seed)
        speakers_of = chosen_speakers(recipe, utterances)
        kept = [row for row, clip in enumerate(utterances) if clip.speaker in speakers_of.get(clip.corpus, ())]
        clips = [utterances[row] for row in kept]
        settings = EpisodeSettings(recipe.n_way, recipe.k_shot, recipe.n_query)
        rows = {name: [row for row in kept if utterances[row].corpus == name] for name in recipe.corpora}

        def samplers(names: Sequence[str], own: EpisodeSettings) -> list[tuple[Indices, EpisodeSampler]]:
            return [
                (np.array(rows[name]), EpisodeSampler([utterances[row] for row in rows[name]], own, recipe.seed))
                for name in names
            ]

        merged = [replace(clip, corpus="all", speaker=f"{clip.corpus}/{clip.speaker}") for clip in clips]
        same = [name for name in recipe.corpora if name in MANY_CLIPS_PER_SPEAKER]
        self._kinds = {
            "disjoint": samplers(recipe.corpora, settings),
            "same": samplers(same, replace(settings, speaker_split="same")),
            "mixed": [(np.array(kept), EpisodeSampler(merged, settings, recipe.seed))],
            "free": [(np.array(kept), EpisodeSampler(clips, replace(settings, sampling="free"), recipe.seed))],
        }
        speakers = np.array([len({utterances[row].speaker for row in rows[name]}) for name in recipe.corpora])
        self._shares = speakers**recipe.speakers_power / np.sum(speakers**recipe.speakers_power)

    def __iter__(self) -> Iterator[Indices]:
        """Episodes [N (K + Q)], support before queries, class by class; one with fewer queries is drawn again."""
        recipe, index = self._recipe, 0
        shares = {"same": recipe.same_speaker, "mixed": recipe.mixed, "free": recipe.free}
        chances = {"disjoint": 1 - sum(shares.values()), **shares}
        while True:
            kind = str(self._rng.choice(list(chances), p=list(chances.values())))
            samplers = self._kinds[kind]
            rows, sampler = samplers[self._rng.choice(len(samplers), p=self._shares if kind == "disjoint" else None)]
            while True:
                index += 1
                episode = sampler.draw(index)
                if all(len(own) == recipe.n_query for own in episode.query):
                    break
            yield rows[np.concatenate([episode.support.ravel(), episode.query_indices])]
