"""Initialise a head from statistics of the training clips, so that cosines separate clips from the first episode.

The mean frames of a pre-trained encoder all point in a similar direction, and few directions hold most of their
variance. The initial head subtracts their mean and divides every principal direction by its variance to a power; 0.5
whitens, which gives too much weight to the smallest.

Letters: M clips, D frame width, E embedding size.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.errors import InputError
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.model.masking import frame_mask, masked_mean
from metaser.toolkit.model.network import GLU, Head, LateralInhibition, MeanFC, ProtoNet
from metaser.toolkit.training.augment import random_crop
from metaser.toolkit.training.batches import pad

CLIPS = 400
"""Number of clips to draw; enough for the important directions."""
SMALLEST_SHARE = 1e-6
"""Share of the largest variance; smaller variances are raised to it."""


@torch.inference_mode()
def whiten_head(network: ProtoNet, store: ClipStore, rng: np.random.Generator, crop_s: float, power: float) -> None:
    """Set the first linear layer of a head from mean frames of training clips, in eval mode without augmentation.

    Raises:
        InputError: the embedding is wider than the frames.
    """
    network.eval()
    clips = rng.permutation(len(store.utterances))[:CLIPS]
    most = round(crop_s * SAMPLE_RATE_HZ)
    means = []
    for part in np.array_split(clips, -(-len(clips) // 8)):
        waveform, lengths = pad([random_crop(store.load(int(clip)), most, rng) for clip in part])
        frames, frame_lengths = network.backbone(waveform, lengths)
        means.append(masked_mean(frames, frame_mask(frame_lengths, frames.shape[1])))
    set_whitening(first_layer(network.head), torch.cat(means), power)


def set_whitening(layer: nn.Linear, vectors: Tensor, power: float) -> None:
    """[M, D] -> the layer D to E whose outputs for these vectors have no mean and flatter variances, on average 1.

    A variance v becomes v ** (1 - 2 * power), times what makes the average 1.
    """
    if layer.out_features > layer.in_features:
        raise InputError(
            f"model.embedding_size is {layer.out_features} and the frames have {layer.in_features} entries: take at "
            "most as many, or model.whitened_head = false"
        )
    mean = vectors.double().mean(0)
    variances, directions = torch.linalg.eigh(torch.cov(vectors.double().T))  # ascending
    largest = slice(layer.in_features - layer.out_features, None)
    variances = variances[largest].clamp(min=float(variances[-1]) * SMALLEST_SHARE)
    rows = (directions[:, largest] * variances**-power).T  # [E, D]
    rows = rows / (variances ** (1 - 2 * power)).mean().sqrt()
    layer.weight.data.copy_(rows)
    layer.bias.data.copy_(-rows @ mean)


def first_layer(head: Head) -> nn.Linear:
    """The linear layer that takes the frames as input."""
    if isinstance(head, GLU):
        return head.value
    assert isinstance(head, MeanFC | LateralInhibition)
    return head.projection
