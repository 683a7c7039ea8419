"""SpecAugment (Park et al., arXiv 1904.08779) inside a backbone: on Whisper's log-mel, or on wav2vec2's features.

Letters: B batch, F mel bins, M mel frames, N frames, D frame width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.toolkit.config import AugmentConfig
from metaser.toolkit.model.encoder import Backbone

LARGEST_SHARE = 4
"""No mask is longer than the clip's length divided by this."""


@contextmanager
def masked(
    backbone: Backbone, lengths: Sequence[int], settings: AugmentConfig, rng: np.random.Generator
) -> Iterator[None]:
    """Apply time and frequency masks to every clip that the backbone embeds in this block: one batch of these lengths.

    Masked values become 0, which is near the mean of the log-mel and of the projected features.
    """
    part = backbone.masked_part
    frames = np.maximum(np.asarray(lengths) // part.hop_samples, 1)  # [B]
    widest = round(settings.time_mask_s * SAMPLE_RATE_HZ / part.hop_samples)
    hidden = draw_stripes(frames, int(frames.max()) + 1, settings.time_masks, widest, rng)  # [B, N]

    def blank_features(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        features, *others = output if isinstance(output, tuple) else (output,)
        blanked = features.masked_fill(_fitted(hidden, features.shape[1], features)[..., None], 0.0)  # [B, N, D]
        return (blanked, *others) if isinstance(output, tuple) else blanked

    def blank_log_mel(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        batch, bins, mel_frames = output.shape
        bands = draw_stripes(
            np.full(batch, bins), bins, settings.frequency_masks, settings.frequency_mask_bins, rng
        )  # [B, F]
        blank = _fitted(hidden, mel_frames, output)[:, None] | _fitted(bands, bins, output)[..., None]
        return output.masked_fill(blank, 0.0)  # [B, F, M]

    handle = part.module.register_forward_hook(blank_log_mel if part.has_frequencies else blank_features)
    try:
        yield
    finally:
        handle.remove()


def draw_stripes(
    lengths: npt.NDArray[np.int64], size: int, count: int, widest: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """[B] lengths -> [B, size], True in `count` stripes a row that lie within its length.

    A stripe is 0 to `widest` wide, at most a quarter of the length, and starts anywhere.
    """
    position = np.arange(size)
    hidden = np.zeros((len(lengths), size), np.bool_)
    for _ in range(count):
        width = rng.integers(0, np.minimum(widest, lengths // LARGEST_SHARE) + 1)  # [B]
        start = rng.integers(0, lengths - width + 1)  # [B]
        hidden |= (position >= start[:, None]) & (position < (start + width)[:, None])
    return hidden


def _fitted(hidden: npt.NDArray[np.bool_], size: int, like: Tensor) -> Tensor:
    """[B, any] -> [B, size] on the device of a tensor."""
    fitted = np.zeros((len(hidden), size), np.bool_)
    fitted[:, : hidden.shape[1]] = hidden[:, :size]
    return torch.from_numpy(fitted).to(like.device)
