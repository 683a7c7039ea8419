"""Fixed episodes to evaluate embeddings on, by plain cosines to prototypes, all at once on one device.

Letters: M clips, N classes of an episode, K shots, Q queries of a class, E embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.research.unseen.episodes import MANY_CLIPS_PER_SPEAKER
from metaser.toolkit.data.corpora import Utterance
from metaser.toolkit.data.utterances import Indices
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, split_of

EPISODES, SEED = 300, 1


@dataclass(frozen=True, eq=False)
class Judge:
    """The episodes of one set of clips; queries are padded to the same number."""

    support: Tensor
    """[episodes, N, K]"""
    query: Tensor
    """[episodes, N, Q]"""
    valid: Tensor
    """[episodes, N, Q] bool"""

    @classmethod
    def of(cls, clips: Sequence[Utterance], rows: Indices, settings: EpisodeSettings, device: torch.device) -> Judge:
        """Episodes of the clips at `rows`."""
        sampler = EpisodeSampler([clips[row] for row in rows], settings, SEED)
        episodes = list(sampler.episodes(EPISODES))
        query = np.zeros((EPISODES, settings.n_way, settings.n_query), np.int64)
        valid = np.zeros(query.shape, np.bool_)
        for number, episode in enumerate(episodes):
            for place, own in enumerate(episode.query):
                query[number, place, : len(own)] = rows[own]
                valid[number, place, : len(own)] = True
        support = np.stack([rows[episode.support] for episode in episodes])
        return cls(*(torch.from_numpy(part).to(device) for part in (support, query, valid)))

    def accuracy(self, embeddings: Tensor) -> Tensor:
        """[M, E] -> the accuracy of each episode, [episodes]."""
        classes = F.normalize(embeddings[self.support].mean(2), dim=-1)  # [episodes, N, E]
        queries = F.normalize(embeddings[self.query], dim=-1)  # [episodes, N, Q, E]
        answers = torch.einsum("enqd,ecd->enqc", queries, classes).argmax(-1)
        correct = (answers == torch.arange(classes.shape[1], device=answers.device)[:, None]) & self.valid
        return correct.sum((1, 2)) / self.valid.sum((1, 2))


def make_judges(heard: Sequence[Utterance], device: torch.device) -> dict[str, Judge]:
    """`CORPUS all`: all speakers but test speakers; `CORPUS validation` and `CORPUS same`: validation speakers."""
    corpora = np.array([clip.corpus for clip in heard])
    validates = np.array([split_of(clip) == "validation" for clip in heard])
    judges = {}
    for name in dict.fromkeys(clip.corpus for clip in heard):
        everyone = np.flatnonzero(corpora == name)
        held_out = np.flatnonzero((corpora == name) & validates)
        judges[f"{name} all"] = Judge.of(heard, everyone, EpisodeSettings(), device)
        if len(held_out) < len(everyone):
            judges[f"{name} validation"] = Judge.of(heard, held_out, EpisodeSettings(), device)
        if name in MANY_CLIPS_PER_SPEAKER:
            judges[f"{name} same"] = Judge.of(heard, held_out, EpisodeSettings(speaker_split="same"), device)
    return judges


def judged(corpora: Sequence[str], judges: Sequence[str]) -> list[str]:
    """The judges of a run on these corpora: validation speakers of these, all speakers of the others."""
    kinds = {name: name.split() for name in judges}
    return [
        name
        for name, (corpus, kind) in kinds.items()
        if kind == "same" or (kind == "validation") == (corpus in corpora)
    ]
