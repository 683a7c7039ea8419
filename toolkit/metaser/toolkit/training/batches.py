"""An episode as tensors: its clips cut, augmented and padded, with the inputs of the loss.

Letters: B = M + R clips, M support clips, R queries, T samples, C classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.toolkit.config import Config
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.data.utterances import classes_by
from metaser.toolkit.episodes.sampler import EpisodeSampler
from metaser.toolkit.model.network import Clips
from metaser.toolkit.seeding import Purpose, generator
from metaser.toolkit.training.augment import augment

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class EpisodeBatch:
    """One episode, support clips before queries."""

    index: int
    clips: Tensor
    """[B, T] float32, waveforms with zeros after each; with stored variants [B, N, D], the input of the layers."""
    lengths: Tensor
    """[B] int64, number of samples or frames."""
    support_weights: Tensor
    """[C, M], 1 / K at the K clips of each class."""
    support_targets: Tensor
    """[M] int64, the class of each support clip."""
    targets: Tensor
    """[R] int64, the class of each query."""
    domains: Tensor
    """[B] int64, the corpus or language of each clip; 0 without an adversary."""
    labels: Tensor
    """[B] int64, the class of each clip among the classes of all corpora."""
    rows: Tensor
    """[B] int64, the position of each clip in the store."""

    def to(self, device: torch.device) -> EpisodeBatch:
        """The same batch on a device."""
        moved = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "index"}
        return EpisodeBatch(self.index, **{name: part.to(device, non_blocking=True) for name, part in moved.items()})


class BatchMaker:
    """Makes the batch of an episode from its index; safe to use from several threads.

    `variants` draws stored frames [N, D] of a clip; without it waveforms are augmented.
    """

    def __init__(  # what batches are made of
        self, config: Config, sampler: EpisodeSampler, store: ClipStore, domains: Sequence[str], *,
        variants: Callable[[int, np.random.Generator], npt.NDArray[np.float16]] | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._sampler = sampler
        self._store = store
        self._variants = variants
        self._domain_of = [0] * len(store.utterances)
        if domains:
            column = config.adversary.on
            self._domain_of = [domains.index(getattr(utterance, column)) for utterance in store.utterances]
        self._label_of = np.zeros(len(store.utterances), np.int64)
        for number, clips in enumerate(classes_by(store.utterances, sampler.column).values()):
            self._label_of[clips] = number

    def make(self, index: int) -> EpisodeBatch:
        """Episode `index`; the sampler and the store have the same utterances."""
        config, episode = self._config, self._sampler.draw(index)
        n_way, k_shot = episode.support.shape
        clips = np.concatenate([episode.support.ravel(), episode.query_indices])  # [B]
        rng = generator(config.seed, Purpose.WAVEFORMS, index)
        crop_samples = round(config.data.crop_s * SAMPLE_RATE_HZ)
        if self._variants is None:
            padded = pad([augment(self._store.load(int(clip)), crop_samples, config.augment, rng) for clip in clips])
        else:
            padded = pad_frames([self._variants(int(clip), rng) for clip in clips])
        return EpisodeBatch(
            index,
            *padded,
            support_weights=torch.eye(n_way).repeat_interleave(k_shot, dim=1) / k_shot,
            support_targets=torch.arange(n_way).repeat_interleave(k_shot),
            targets=torch.from_numpy(episode.query_targets),
            domains=torch.tensor([self._domain_of[clip] for clip in clips]),
            labels=torch.from_numpy(self._label_of[clips]),
            rows=torch.from_numpy(clips),
        )


def pad(waveforms: Sequence[Waveform]) -> Clips:
    """B clips [T_i] -> [B, longest] with zeros after each, and [B] lengths."""
    lengths = [len(waveform) for waveform in waveforms]
    padded = np.zeros((len(waveforms), max(lengths)), np.float32)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return torch.from_numpy(padded), torch.tensor(lengths)


def pad_frames(clips: Sequence[npt.NDArray[np.float16]]) -> tuple[Tensor, Tensor]:
    """B clips [N_i, D] -> float32 [B, longest, D] with zeros after each, and [B] lengths."""
    lengths = [len(frames) for frames in clips]
    padded = np.zeros((len(clips), max(lengths), clips[0].shape[1]), np.float32)
    for row, frames in zip(padded, clips, strict=True):
        row[: len(frames)] = frames
    return torch.from_numpy(padded), torch.tensor(lengths)


def prefetch(make: Callable[[int], Made], indices: Iterable[int], workers: int) -> Generator[Made, None, None]:
    """`make` of each index in order, prefetched by threads: decoding, resampling and transforms release the GIL."""
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
