"""The frames of a frozen backbone for every clip of some corpora, computed once and cached.

Frames are averaged in fours, 80 ms apart, so that a head trains in seconds on one core. Every layer's mean over a clip
is also stored. Letters: M clips, N frames, D frame width, L layers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.accuracy.specs import Rows
from metaser.runtime.audio.load import load_audio
from metaser.runtime.bundles.bundle import sha256_of
from metaser.runtime.system.files import replacing
from metaser.runtime.tuning.head import SupportFrames
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.model.backbone import Backbone, load_backbone
from metaser.toolkit.model.network import Head

STRIDE = 4
"""Number of backbone frames that are averaged to one."""

BATCH = 64

"""Positions in a `FrameStore`'s utterances."""


@dataclass(frozen=True, eq=False)
class FrameStore:
    """Clips with their frames, concatenated."""

    utterances: tuple[Utterance, ...]
    digests: tuple[str, ...]
    """sha256 of each clip's file."""
    frames: Tensor
    """[sum of N, D] float16 of the chosen layer."""
    lengths: Rows
    """[M] frames of each clip."""
    means: npt.NDArray[np.float32]
    """[M, L, D] the mean frame of each layer, over the unaveraged frames."""
    layer: int
    """The chosen layer, counted from 1."""

    @property
    def width(self) -> int:
        """D"""
        return self.frames.shape[1]

    def take(self, rows: Rows, starts: Rows | None = None, longest: int | None = None) -> tuple[Tensor, Rows]:
        """Frames [B, N, D] float32 of some clips, from a frame on and at most `longest`, and their lengths [B]."""
        first = np.concatenate([[0], np.cumsum(self.lengths)])[rows]  # [B]
        starts = np.zeros(len(rows), np.int64) if starts is None else starts
        lengths = self.lengths[rows] - starts
        lengths = lengths if longest is None else np.minimum(lengths, longest)
        position = np.minimum(np.arange(lengths.max()), lengths[:, None] - 1)  # [B, N]
        index = first[:, None] + starts[:, None] + position
        return self.frames[torch.from_numpy(index)].float(), lengths

    def support(self, rows: Rows, targets: Rows) -> SupportFrames:
        """Clips as a support set to tune on."""
        frames, lengths = self.take(rows)
        return SupportFrames(frames.numpy(), lengths, targets)

    def subset(self, rows: Rows) -> tuple[Utterance, ...]:
        """A subset of the utterances."""
        return tuple(self.utterances[row] for row in rows)

    def embedded(self, rows: Rows, embeddings: npt.NDArray[np.float32]) -> Embedded:
        """Some of the clips with embeddings [rows, E]."""
        return Embedded(self.subset(rows), tuple(self.digests[row] for row in rows), embeddings, ())

    def embed(self, head: Head, rows: Rows) -> npt.NDArray[np.float32]:
        """[rows, E] of whole clips, in batches of similar length."""
        order = rows[np.argsort(self.lengths[rows], kind="stable")]
        embeddings = np.zeros((len(self.utterances), head.embedding_size), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                frames, lengths = self.take(batch)
                embeddings[batch] = head(frames, mask_of(lengths)).numpy()
        return embeddings[rows]


def mask_of(lengths: Rows) -> Tensor:
    """[B] -> [B, N] float32, 1 for a clip's frames."""
    return torch.from_numpy((np.arange(lengths.max()) < lengths[:, None]).astype(np.float32))


def open_store(backbone: Path, layers: int, corpora: Sequence[Path], cache: Path) -> FrameStore:
    """Read the frames from the cache, or compute them; takes some minutes for an hour or two of speech."""
    utterances = tuple(clip for folder in corpora for clip in read_corpus(folder).utterances)
    digests = tuple(sha256_of(clip.path) for clip in utterances)
    weights = sorted(path for path in backbone.iterdir() if path.suffix in (".json", ".safetensors", ".bin"))
    parts = [*map(sha256_of, weights), *digests, str(layers), str(STRIDE)]
    file = cache / f"{hashlib.sha256(''.join(parts).encode()).hexdigest()[:32]}.npz"
    if not file.exists():
        rows = [_compute(model, clip, layers) for model in [load_backbone(backbone)] for clip in utterances]
        found, by_layer = zip(*rows, strict=True)
        with replacing(file) as stream:
            counts = [len(own) for own in found]
            np.savez(stream, frames=np.concatenate(found), lengths=counts, means=np.stack(by_layer))
    with np.load(file) as arrays:
        frames, lengths, means = (arrays[name] for name in ("frames", "lengths", "means"))
    return FrameStore(utterances, digests, torch.from_numpy(frames), lengths, means, layers)


def _compute(
    backbone: Backbone, clip: Utterance, layers: int
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]:
    """Averaged frames [N, D] of one layer and mean frames [L, D] of all."""
    waveform = torch.from_numpy(load_audio(clip.path))[None]
    states: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda *call: states.append(call[2][0] if isinstance(call[2], tuple) else call[2]))
        for layer in backbone.get_submodule("encoder.layers").children()
    ]
    with torch.inference_mode():
        _, lengths = backbone(waveform, torch.tensor([waveform.shape[1]]))
    for hook in hooks:
        hook.remove()
    n = int(lengths[0])
    means = np.stack([state[0, :n].mean(0).numpy() for state in states])
    chosen = states[layers - 1][0, :n].numpy()
    starts = np.arange(0, n, STRIDE)
    sums = np.add.reduceat(chosen, starts, axis=0)  # [N, D]
    return (sums / np.diff([*starts, n])[:, None]).astype(np.float16), means
