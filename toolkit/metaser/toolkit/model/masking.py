"""Padding masks, and statistics over the valid samples or frames only.

Letters: B batch, T samples, N frames, D frame width, C channels.
"""

import torch
from torch import Tensor


def frame_mask(frame_lengths: Tensor, n: int) -> Tensor:
    """[B] valid lengths -> [B, n] float, 1 for the first `frame_lengths[i]` positions of row i and 0 beyond."""
    return (torch.arange(n, device=frame_lengths.device) < frame_lengths[:, None]).to(torch.float32)


def masked_mean(frames: Tensor, mask: Tensor) -> Tensor:
    """[B, N, D] and [B, N] -> [B, D], the mean over the frames with mask 1; zeros if a clip has none."""
    return (frames * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def masked_standardise(x: Tensor, mask: Tensor, eps: float, dim: int = -1) -> Tensor:
    """Normalise to zero mean and unit variance over time, for mask 1; zeros elsewhere.

    Parameters
    ----------
    x : [..., T], or with time along `dim`
    mask : broadcast to x
    eps : added to the (biased) variance
    """
    count = mask.sum(dim, keepdim=True).clamp(min=1)
    centred = (x - (x * mask).sum(dim, keepdim=True) / count) * mask
    variance = centred.square().sum(dim, keepdim=True) / count
    return centred * torch.rsqrt(variance + eps)


def attention_bias(mask: Tensor) -> Tensor:
    """[B, N] -> [B, 1, N, N] to add to attention scores: 0 for valid keys, the most negative float for padding.

    Finite, so that a clip without valid frames does not give NaN.
    """
    bias = (1 - mask) * torch.finfo(mask.dtype).min  # [B, N]
    return bias[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
