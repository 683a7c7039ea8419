"""Sampling of each tuning step from a support set by a seed: clips, masks and weights, equal on every machine.

method   inner support                 inner query                   rows B
pmf      every clip, clean             every clip, masked            2 M     P>M>F, arXiv 2204.07305
split    half of each class, masked    the other half, masked        M       Ion et al., arXiv 2410.04633
time     a part of every clip, masked  its other part, masked        2 M     ours, works with one clip per class
views    every clip, masked            every clip, masked otherwise  2 M     ours, works with one clip per class

Letters: M support clips, C classes, B rows of a step, N frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check_fields
from metaser.runtime.errors import InputError, SupportError

Method: TypeAlias = Literal["pmf", "split", "time", "views"]
Indices: TypeAlias = npt.NDArray[np.int64]
Kept: TypeAlias = npt.NDArray[np.bool_]
"""[B, N], which frames of each row count."""

SHORTEST_PART = 1 / 3
"""`time` cuts a clip between a third and two thirds of it."""


@dataclass(frozen=True)
class MaskSettings:
    """How frames are masked (SpecAugment in time, arXiv 1904.08779); at least one frame of a row always stays.

    Raises:
        InputError: a number is out of its range.
    """

    stripes: int = 2
    """Number of masked stretches per row."""
    stripe_share: float = 0.2
    """The longest stretch, as a share of the row's frames."""
    frame_dropout: float = 0.0
    """The probability that a single frame is masked."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.stripes < 0:
            raise InputError(f"stripes is {self.stripes} and must be at least 0")
        for name in ("stripe_share", "frame_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)} and must be from 0 to 1")


@dataclass(frozen=True, eq=False)
class TuningStep:
    """Inputs of the loss of one step: sum of `query_weights` x cross-entropy of each row to the prototypes."""

    rows: Indices
    """[B] support clips; a clip can occur twice."""
    frame_mask: npt.NDArray[np.float32]
    """[B, N] 1 for frames that count."""
    support_weights: npt.NDArray[np.float32]
    """[C, B] the mean over each class's inner support; its rows sum to 1."""
    query_weights: npt.NDArray[np.float32]
    """[B, C] the weight of each inner query in the loss, at its class; a class sums to 1 / C."""


@dataclass(frozen=True, eq=False)
class StepSampler:
    """Draws tuning steps; step `index` depends on the support set, the method, the seed and `index` alone.

    Raises:
        SupportError: fewer than two classes, a class without clips, a clip without frames, or `split` with one clip.
        InputError: an unknown method.
    """

    targets: Indices
    """[M] the class of each clip, 0 to C - 1."""
    frame_lengths: Indices
    """[M] its number of frames."""
    method: Method
    seed: int
    masks: MaskSettings = field(default_factory=MaskSettings)

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise InputError(f"the method is {self.method!r}: choose one of {', '.join(get_args(Method))}")
        if len(self.targets) != len(self.frame_lengths):
            raise InputError(
                f"{len(self.targets)} targets and {len(self.frame_lengths)} frame lengths: give one per clip"
            )
        counts = np.bincount(self.targets)
        if len(counts) < 2 or not counts.all():
            raise SupportError(
                f"the numbers of clips per class are {counts.tolist()}: tuning needs two classes with a clip each"
            )
        if not np.all(self.frame_lengths > 0):
            raise SupportError("a clip has no frames: leave it out")
        if self.method == "split" and counts.min() < 2:
            raise SupportError(
                "`split` needs two clips of every class and one has a single clip: use `time` or `views`"
            )

    def draw(self, index: int) -> TuningStep:
        """Step number `index`, counted from 0; the same at every call."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        whole = np.arange(self.frame_lengths.max()) < self.frame_lengths[:, None]  # [M, N]
        inner = _METHODS[self.method](self.targets, whole, rng, self.masks)
        rows = np.concatenate([inner.support, inner.query])  # [B]
        one_hot = np.eye(self.targets.max() + 1)[self.targets[rows]]  # [B, C]
        is_support = np.arange(len(rows)) < len(inner.support)
        support = one_hot * is_support[:, None]
        query = one_hot * ~is_support[:, None]
        return TuningStep(
            rows=rows,
            frame_mask=inner.kept.astype(np.float32),
            support_weights=(support / support.sum(0)).T.astype(np.float32),
            query_weights=(query / query.sum(0) / one_hot.shape[1]).astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class Inner:
    """The inner support and inner query of one step."""

    support: Indices
    query: Indices
    kept: Kept
    """[B, N] the frames of the rows of the support, then of the query."""


def inner_halves(targets: Indices, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Split the clips of every class at random in two halves; the first is larger if the number is odd."""
    support, query = [], []
    for number in range(targets.max() + 1):
        clips = rng.permutation(np.flatnonzero(targets == number))
        half = len(clips) - len(clips) // 2
        support.append(clips[:half])
        query.append(clips[half:])
    return np.concatenate(support), np.concatenate(query)


def hide_frames(kept: Kept, rng: np.random.Generator, masks: MaskSettings) -> Kept:
    """Mask stripes and single frames of each row of `kept` [B, N]; one frame, drawn at random, always stays."""
    count = kept.sum(1)  # [B]
    rank = kept.cumsum(1) - 1  # [B, N] the position among the kept frames of its row
    hidden = rng.random(kept.shape) < masks.frame_dropout
    for _ in range(masks.stripes):
        width = rng.integers(0, (masks.stripe_share * count).astype(np.int64) + 1)  # [B]
        start = rng.integers(0, count - width + 1)
        hidden |= (rank >= start[:, None]) & (rank < (start + width)[:, None])
    saved = rank == rng.integers(0, count)[:, None]
    return kept & (~hidden | saved)


def cut_in_time(kept: Kept, rng: np.random.Generator) -> tuple[Kept, Kept]:
    """Cut each row [B, N] of contiguous frames in two parts, in random order; a row of one frame is in both."""
    count = kept.sum(1)  # [B]
    shortest = np.clip((SHORTEST_PART * count).astype(np.int64), 1, None)
    cut = rng.integers(shortest, np.maximum(count - shortest, shortest) + 1)  # [B]
    rank = kept.cumsum(1) - 1  # [B, N]
    is_head = rank < cut[:, None]
    swapped = rng.random(len(kept)) < 0.5
    first, second = kept & (is_head ^ swapped[:, None]), kept & ~(is_head ^ swapped[:, None])
    alone = (count == 1)[:, None]
    return np.where(alone, kept, first), np.where(alone, kept, second)


def _pmf(targets: Indices, whole: Kept, rng: np.random.Generator, masks: MaskSettings) -> Inner:
    clips = np.arange(len(targets))
    return Inner(clips, clips, np.concatenate([whole, hide_frames(whole, rng, masks)]))


def _split(targets: Indices, whole: Kept, rng: np.random.Generator, masks: MaskSettings) -> Inner:
    support, query = inner_halves(targets, rng)
    return Inner(support, query, hide_frames(whole[np.concatenate([support, query])], rng, masks))


def _time(targets: Indices, whole: Kept, rng: np.random.Generator, masks: MaskSettings) -> Inner:
    clips = np.arange(len(targets))
    return Inner(clips, clips, hide_frames(np.concatenate(cut_in_time(whole, rng)), rng, masks))


def _views(targets: Indices, whole: Kept, rng: np.random.Generator, masks: MaskSettings) -> Inner:
    clips = np.arange(len(targets))
    return Inner(clips, clips, hide_frames(np.concatenate([whole, whole]), rng, masks))


_METHODS: Mapping[Method, Callable[[Indices, Kept, np.random.Generator, MaskSettings], Inner]] = {
    "pmf": _pmf,
    "split": _split,
    "time": _time,
    "views": _views,
}
