"""Train a head on cached frames: on episodes or labels, with or without an adversary; keep the best one.

Letters: B clips, N frames, D frame width, E embedding, S support clips of an episode.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.accuracy.specs import Rows, Spec
from benchmarks.research.experiments_frames import FrameStore, mask_of
from benchmarks.research.experiments_lab import Lab, Recipe, Trained
from metaser.runtime.tuning.steps import MaskSettings, hide_frames
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
from metaser.toolkit.model.network import Head, cosine_logits, make_head, prototypes
from metaser.toolkit.training.adversary import Discriminator

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
CHOOSING_SEEDS = 2
"""Learning rates; every arm uses the best one by the validation accuracy of this number of heads."""
WEIGHT_DECAY = 1e-2
WARM_UP = 0.1
CROP = 31
"""Frames of a training clip, 2.5 s."""
MASKS = MaskSettings()
BATCH = 40
"""Clips per labelled batch, as many as in an episode."""
DOMAIN_BATCH = 8
"""Clips per corpus and step for the adversary, because an episode has only one corpus."""
HIDDEN = 128
"""Width of the adversary."""


def train_all(lab: Lab, recipe: Recipe) -> tuple[Recipe, list[Trained]]:
    """One head per training seed, at the best rate, and the recipe with that rate."""
    seeds = range(min(CHOOSING_SEEDS, lab.budget.seeds))

    def accuracy(one: Recipe) -> float:
        return float(np.mean([max(train(lab, one, seed).validation) for seed in seeds]))

    best = max((replace(recipe, rate=rate) for rate in RATES), key=accuracy)
    return best, [train(lab, best, seed) for seed in range(lab.budget.seeds)]


def heads_of(lab: Lab, recipe: Recipe) -> list[Head]:
    """One head per training seed, at the best rate."""
    return [one.head for one in train_all(lab, recipe)[1]]


def train(lab: Lab, recipe: Recipe, seed: int) -> Trained:
    """Train a head once, and cache it; the state with the best validation accuracy is kept."""
    if (recipe, seed) in lab.trained:
        return lab.trained[recipe, seed]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = make_head(recipe.head, lab.store.width)
    rows = lab.rows(recipe.corpora, "train")
    parts: list[nn.Module] = [head]
    task = _episodes(lab, recipe, head, seed) if recipe.objective == "episodes" else _labels(lab, rows, head, parts)
    adversary = _Adversary(lab, recipe, head) if recipe.adversary else None
    if adversary:
        parts.append(adversary.discriminator)
    optimiser = torch.optim.AdamW(nn.ModuleList(parts).parameters(), lr=recipe.rate, weight_decay=WEIGHT_DECAY)
    history: list[float] = []
    best = copy.deepcopy(head)
    steps = lab.budget.episodes
    for index in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * lr_factor(index / steps)
        loss = task(index, rng)
        if adversary:
            loss = loss + adversary.loss(index / steps, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (index + 1) % lab.budget.validate_every == 0 or index + 1 == steps:
            history.append(validate(lab, recipe, head))
            if history[-1] == max(history):
                best = copy.deepcopy(head)
    domain_accuracy = float(np.mean(adversary.correct[-max(1, steps // 4) :])) if adversary else None
    lab.trained[recipe, seed] = Trained(best.eval(), tuple(history), domain_accuracy)
    return lab.trained[recipe, seed]


def lr_factor(progress: float) -> float:
    """Linear warm-up, then cosine decay."""
    if progress < WARM_UP:
        return (progress + 0.01) / (WARM_UP + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def validate(lab: Lab, recipe: Recipe, head: Head) -> float:
    """The mean over the recipe's corpora of the accuracy on their validation speakers."""
    by_speaker = recipe.column == "speaker"
    specs = [
        Spec(corpus, "any" if by_speaker else "disjoint", column=recipe.column, split="validation")
        for corpus in recipe.corpora
    ]
    return float(np.mean([lab.evaluate_head(head, spec).accuracy.mean for spec in specs]))


def embed_crops(store: FrameStore, head: Head, rows: Rows, rng: np.random.Generator) -> Tensor:
    """[B, E] of random masked crops."""
    starts = rng.integers(0, np.maximum(store.lengths[rows] - CROP, 0) + 1)
    frames, lengths = store.take(rows, starts, CROP)
    kept = hide_frames(mask_of(lengths).numpy() > 0, rng, MASKS)
    return head(frames, torch.from_numpy(kept.astype(np.float32)))


_Task = Callable[[int, np.random.Generator], Tensor]


def _episodes(lab: Lab, recipe: Recipe, head: Head, seed: int) -> _Task:
    rows = lab.rows(recipe.corpora, "train")
    by_speaker = recipe.column == "speaker"
    settings = EpisodeSettings(
        5 if by_speaker else 4, 5, 5, "any" if by_speaker else "disjoint", sampling=recipe.sampling
    )
    sampler = EpisodeSampler(lab.store.subset(rows), settings, seed, recipe.column)
    weights = torch.eye(settings.n_way).repeat_interleave(settings.k_shot, 1) / settings.k_shot  # [C, S]

    def loss(index: int, rng: np.random.Generator) -> Tensor:
        episode = sampler.draw(index)
        clips = np.concatenate([episode.support.ravel(), episode.query_indices])
        embeddings = embed_crops(lab.store, head, rows[clips], rng)  # [B, E]
        classes = prototypes(embeddings[: episode.support.size], weights)  # [C, E]
        logits = cosine_logits(embeddings[episode.support.size :], classes, head.scale)
        return F.cross_entropy(logits, torch.from_numpy(episode.query_targets))

    return loss


def _labels(lab: Lab, rows: Rows, head: Head, parts: list[nn.Module]) -> _Task:
    """Plain classification of batches; the classifier is added to `parts` for training, and dropped afterwards."""
    names = sorted({clip.label for clip in lab.store.subset(rows)})
    targets = torch.tensor([names.index(clip.label) for clip in lab.store.subset(rows)])
    classifier = nn.Linear(head.embedding_size, len(names))
    parts.append(classifier)

    def loss(_: int, rng: np.random.Generator) -> Tensor:
        batch = rng.choice(len(rows), min(BATCH, len(rows)), replace=False)
        logits = classifier(embed_crops(lab.store, head, rows[batch], rng))
        return F.cross_entropy(logits, targets[torch.from_numpy(batch)])

    return loss


class _Adversary:
    """A discriminator of corpora that sees clips of all of them each step."""

    def __init__(self, lab: Lab, recipe: Recipe, head: Head) -> None:
        self.discriminator = Discriminator(head.embedding_size, len(recipe.corpora), HIDDEN)
        self.correct: list[float] = []
        self._by_corpus = [lab.rows([corpus], "train") for corpus in recipe.corpora]
        self._lab, self._recipe, self._head = lab, recipe, head

    def loss(self, progress: float, rng: np.random.Generator) -> Tensor:
        """Cross-entropy of the discriminator, whose gradient reaches the head reversed (Ganin et al., JMLR 2016)."""
        clips = np.concatenate([rng.choice(own, DOMAIN_BATCH) for own in self._by_corpus])
        targets = torch.arange(len(self._by_corpus)).repeat_interleave(DOMAIN_BATCH)
        strength = self._recipe.adversary * (2 / (1 + math.exp(-10 * progress)) - 1)
        logits = self.discriminator(embed_crops(self._lab.store, self._head, clips, rng), strength)
        self.correct.append(float((logits.argmax(1) == targets).float().mean()))
        return F.cross_entropy(logits, targets)
