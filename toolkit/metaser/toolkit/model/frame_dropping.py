"""Train on a random subset of the frames: cheaper layers, and regularisation.

Like PatchDropout (Liu et al., arXiv 2208.07220) for images: position encodings are added before frames are dropped.
Neighbouring frames of speech, 20 ms apart, are similar.

Letters: B batch, N frames, K frames that are kept, D frame width, T samples.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metaser.toolkit.model.masking import frame_mask
from metaser.toolkit.model.network import Clips, ProtoNet


def embed_thinned(network: ProtoNet, clips: Clips, share: float, rng: np.random.Generator, start: int = 0) -> Tensor:
    """Clips, or their input to layer `start`, [B, N, D] and [B] -> [B, E] from a random share of their frames.

    Only for a backbone that is divisible.
    """
    backbone = network.backbone
    heard = backbone.listen(*clips) if clips[0].ndim == 2 else clips
    frames, frame_lengths = backbone.attend(*thin(*heard, share, rng), start=start)
    return network.head(frames, frame_mask(frame_lengths, frames.shape[1]))


def thin(frames: Tensor, frame_lengths: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """[B, N, D] and [B] -> [B, K, D] and [B]: a share of the frames of each clip, in order, at least one."""
    lengths = frame_lengths.cpu().numpy()
    counts = np.maximum(np.round(share * lengths).astype(np.int64), 1)  # [B]
    rows = np.zeros((len(lengths), counts.max()), np.int64)
    for row, length, count in zip(rows, lengths, counts, strict=True):
        row[:count] = np.sort(rng.choice(length, count, replace=False))
    chosen = torch.from_numpy(rows).to(frames.device)  # [B, K], the first frame again beyond a clip's
    kept = torch.take_along_dim(frames, chosen[..., None], dim=1)  # [B, K, D]
    return kept, torch.from_numpy(counts).to(frames.device)
