"""An episode as tensors: its clips cut, augmented and padded, with what the loss needs.

Letters: B = M + R clips, M support clips, R queries, T samples, C classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.toolkit.augment import augment
from metaser.toolkit.clips import ClipStore
from metaser.toolkit.config import Config
from metaser.toolkit.episodes import EpisodeSampler
from metaser.toolkit.network import Clips
from metaser.toolkit.randomness import Purpose, generator

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class EpisodeBatch:
    """One episode, support clips before queries."""

    index: int
    waveform: Tensor
    """[B, T] float32, zeros after each clip."""
    lengths: Tensor
    """[B] int64"""
    support_weights: Tensor
    """[C, M], 1 / K at the K clips of each class."""
    support_targets: Tensor
    """[M] int64, the class of each support clip."""
    targets: Tensor
    """[R] int64, the class of each query."""
    domains: Tensor
    """[B] int64, the corpus or language of each clip; 0 without an adversary."""
    labels: Tensor
    """[B] int64, the class of each clip among those of all corpora."""

    def to(self, device: torch.device) -> EpisodeBatch:
        """The same on a device."""
        moved = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "index"}
        return EpisodeBatch(self.index, **{name: part.to(device, non_blocking=True) for name, part in moved.items()})


class BatchMaker:
    """Makes the batch of an episode from its index alone; safe to use from several threads."""

    def __init__(
        self, config: Config, sampler: EpisodeSampler, store: ClipStore, domains: Sequence[str], labels: Sequence[str]
    ) -> None:
        self._config = config
        self._sampler = sampler
        self._store = store
        self._domain_of = [0] * len(store.utterances)
        if domains:
            column = config.adversary.on
            self._domain_of = [domains.index(getattr(utterance, column)) for utterance in store.utterances]
        names = [getattr(utterance, sampler.column) for utterance in store.utterances]
        self._label_of = [labels.index(name) if name in labels else 0 for name in names]

    def make(self, index: int) -> EpisodeBatch:
        """Episode `index`; the sampler and the store are over the same utterances."""
        config, episode = self._config, self._sampler.draw(index)
        n_way, k_shot = episode.support.shape
        clips = np.concatenate([episode.support.ravel(), episode.query_indices])  # [B]
        rng = generator(config.seed, Purpose.WAVEFORMS, index)
        crop_samples = round(config.data.crop_s * SAMPLE_RATE_HZ)
        cut = [augment(self._store.load(int(clip)), crop_samples, config.augment, rng) for clip in clips]
        return EpisodeBatch(
            index,
            *pad(cut),
            support_weights=torch.eye(n_way).repeat_interleave(k_shot, dim=1) / k_shot,
            support_targets=torch.arange(n_way).repeat_interleave(k_shot),
            targets=torch.from_numpy(episode.query_targets),
            domains=torch.tensor([self._domain_of[clip] for clip in clips]),
            labels=torch.tensor([self._label_of[clip] for clip in clips]),
        )


def pad(waveforms: Sequence[Waveform]) -> Clips:
    """B clips [T_i] -> [B, longest] with zeros after each, and [B] lengths."""
    lengths = [len(waveform) for waveform in waveforms]
    padded = np.zeros((len(waveforms), max(lengths)), np.float32)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return torch.from_numpy(padded), torch.tensor(lengths)


def prefetch(make: Callable[[int], Made], indices: Iterable[int], workers: int) -> Generator[Made, None, None]:
    """`make` of each index in order, made ahead by threads: decoding, resampling and transforms release the lock."""
    if workers == 0:
        yield from map(make, indices)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="clips")
    pending: deque[Future[Made]] = deque()
    try:
        for index in indices:
            pending.append(pool.submit(make, index))
            if len(pending) > workers + 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
