"""Choose how many layers to keep: few-shot accuracy and cost after each layer.

One pass over the clips gives every layer's mean frame and the time to compute it. Accuracy follows the protocol, 4-way
5-shot on unseen speakers, with an identity head: the embedding is the mean frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.errors import InputError
from metaser.toolkit.data.corpora import read_any, readable
from metaser.toolkit.data.utterances import Utterance
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, split_of
from metaser.toolkit.evaluation.embeddings import WINDOW_S, Embedded
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate
from metaser.toolkit.model.encoder import Backbone

EPISODES = 200
WITHIN = 0.01
"""Fewer layers count as equally good if their accuracy is at most this much lower."""


@dataclass(frozen=True)
class LayerScore:
    """Accuracy and cost of the first `layers` layers."""

    layers: int
    accuracy: float
    """Mean over the corpora."""
    by_corpus: dict[str, Evaluation]
    cost: float
    """Time per clip, as a share of the time of all layers."""


def score_layers(
    backbone: Backbone, corpora: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> list[LayerScore]:
    """Score every depth of a backbone, starting at one layer.

    Raises:
        NotFoundError, InputError: a corpus cannot be read or is too small for the episodes.
    """
    clips = [chosen_clips(path) for path in corpora]
    samplers = [EpisodeSampler(own, EpisodeSettings(4, 5, 15, "disjoint"), 0) for own in clips]
    count = sum(map(len, clips))
    recorder = LayerRecorder()
    backbone.layer_sum = recorder  # type: ignore[assignment] # it takes a weighted sum's place
    means: list[npt.NDArray[np.float32]] = []
    for done, clip in enumerate((clip for own in clips for clip in own), start=1):
        means.append(recorder.record(backbone, load_speech(clip.path)))
        if progress:
            progress(done, count)
    layered = np.stack(means)  # [clips, L + 1, D]
    evaluations: list[list[Evaluation]] = []  # by corpus, by layer
    start = 0
    for own, sampler in zip(clips, samplers, strict=True):
        digests = tuple(sha256_of(clip.path) for clip in own)
        rows = layered[start : start + len(own)]
        start += len(own)
        evaluations.append(
            [
                evaluate(Embedded(own, digests, rows[:, layer], ()), sampler, EPISODES)
                for layer in range(1, layered.shape[1])
            ]
        )
    seconds = recorder.seconds_by_layer
    return [
        LayerScore(
            layers=layer + 1,
            accuracy=float(np.mean([found.accuracy.mean for found in at_layer])),
            by_corpus={found.corpus: found for found in at_layer},
            cost=seconds[layer + 1] / seconds[-1],
        )
        for layer, at_layer in enumerate(zip(*evaluations, strict=True))
    ]


def recommended(scores: Sequence[LayerScore]) -> tuple[LayerScore, LayerScore]:
    """The most accurate depth, and the cheapest one that is about as good."""
    best = max(scores, key=lambda score: score.accuracy)
    return best, next(score for score in scores if score.accuracy >= best.accuracy - WITHIN)


def chosen_clips(path: Path) -> tuple[Utterance, ...]:
    """The clips of a corpus's validation speakers if the protocol names some, otherwise all of its clips.

    Raises:
        NotFoundError: there is no such folder.
        InputError: no clip can be used.
    """
    clips = readable(read_any(path)).utterances
    chosen = tuple(clip for clip in clips if split_of(clip) == "validation") or clips
    if not chosen:
        raise InputError(f"{path} has no usable clips: see `metaser corpora {path}`")
    return chosen


class LayerRecorder(nn.Module):
    """Replaces the weighted sum of a backbone, and records each layer's mean frame and the time it was ready."""

    def __init__(self) -> None:
        super().__init__()
        self._means: list[Tensor] = []
        self._ready: list[float] = []
        self._seconds: list[list[float]] = []

    def forward(self, states: Iterable[Tensor]) -> Tensor:
        """The input of the first layer and the output of each layer, [1, N, D] -> the last of them."""
        self._means.clear()
        self._ready.clear()
        for state in states:
            self._means.append(state[0].mean(0))
            self._ready.append(time.perf_counter())
        return state

    def record(self, backbone: Backbone, waveform: Waveform) -> npt.NDArray[np.float32]:
        """[T] -> [L + 1, D], the mean frame of the first layer's input and of each layer's output."""
        clip = waveform[: int(WINDOW_S * SAMPLE_RATE_HZ)]
        began = time.perf_counter()
        with torch.inference_mode():
            backbone(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))
        self._seconds.append([ready - began for ready in self._ready])
        return torch.stack(self._means).numpy()

    @property
    def seconds_by_layer(self) -> npt.NDArray[np.float64]:
        """[L + 1] the median time until each layer was ready."""
        return np.median(np.array(self._seconds), axis=0)
