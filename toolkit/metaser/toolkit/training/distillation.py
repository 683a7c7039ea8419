"""Distillation: the head of a network is fitted to the embeddings of trained networks, before any step.

The teachers' embeddings of each training clip are joined, so that the cosine of two clips is the mean of their cosines
by the teachers, and rotated to as many directions as the student has. The student's head is the ridge regression from
its mean frames to them (Hoerl and Kennard, 1970). Both see whole clips, not augmented.

Letters: M clips, D frame width, E embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.errors import InputError
from metaser.toolkit.config import DistilConfig
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.evaluation.embeddings import embed_by
from metaser.toolkit.model.checkpoint import load_checkpoint
from metaser.toolkit.model.masking import frame_mask, masked_mean
from metaser.toolkit.model.network import ProtoNet
from metaser.toolkit.training.batches import pad
from metaser.toolkit.training.whitening import first_layer

BATCH = 8
MOST_S = 10.0
"""Longer clips are cut to their start."""


@torch.inference_mode()
def fit_head(network: ProtoNet, store: ClipStore, settings: DistilConfig) -> Tensor:
    """Set the first linear layer of a head, so that the embeddings of the clips are close to those of the teachers.

    Returns the teachers' joined embeddings, [M, E].

    Raises:
        MetaserError: there is no usable checkpoint in a teacher's folder.
        InputError: the teachers' embeddings together are smaller than the student's.
    """
    network.eval()
    layer = first_layer(network.head)
    targets = joined([_embeddings(folder, store) for folder in settings.teachers], layer.out_features)
    targets *= layer.out_features**0.5  # entries of about 1, as of a whitened head; cosines ignore the scale
    weight, bias = ridge(_mean_frames(network, store), targets, settings.ridge)
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)
    return targets.float()


def joined(embeddings: Sequence[Tensor], size: int) -> Tensor:
    """[M, E_i] unit rows of each teacher -> [M, size] unit rows, whose cosines are near the mean of the teachers'.

    Raises:
        InputError: the teachers have fewer than `size` entries together, or there are fewer clips.
    """
    rows = torch.cat(list(embeddings), dim=1).double()
    if min(rows.shape) < size:
        raise InputError(
            f"distil.teachers give {rows.shape[1]} entries for {len(rows)} clips: "
            f"model.embedding_size can be {min(rows.shape)} at most, and is {size}"
        )
    _, _, directions = torch.linalg.svd(rows, full_matrices=False)
    return torch.nn.functional.normalize(rows @ directions[:size].T, dim=1)


def ridge(inputs: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """[M, D] and [M, E] -> the weight [E, D] and the bias [E] of the ridge regression with an unpenalised bias.

    `penalty` is relative to the mean variance of the inputs, times M.
    """
    inputs, targets = inputs.double(), targets.double()
    mean, target = inputs.mean(0), targets.mean(0)
    centred = inputs - mean
    gram = centred.T @ centred
    gram.diagonal().add_(penalty * float(gram.diagonal().mean()))
    weight = torch.linalg.solve(gram, centred.T @ (targets - target)).T
    return weight.float(), (target - weight @ mean).float()


def _embeddings(folder: object, store: ClipStore) -> Tensor:
    """[M, E] unit rows, the embeddings of all clips by a teacher."""
    teacher, _ = load_checkpoint(str(folder))
    rows = [embed_by(teacher, store.load(clip)) for clip in range(len(store.utterances))]
    return torch.nn.functional.normalize(torch.from_numpy(np.stack(rows)), dim=1)


def _mean_frames(network: ProtoNet, store: ClipStore) -> Tensor:
    """[M, D] the mean of each clip's frames."""
    most = round(MOST_S * SAMPLE_RATE_HZ)
    means = []
    for first in range(0, len(store.utterances), BATCH):
        clips = range(first, min(first + BATCH, len(store.utterances)))
        frames, lengths = network.backbone(*pad([store.load(clip)[:most] for clip in clips]))
        means.append(masked_mean(frames, frame_mask(lengths, frames.shape[1])))
    return torch.cat(means)
