"""The network: frames of a backbone -> pooling head -> embedding -> prototypes -> scaled cosines.

Source of the method: Ion et al., "A Cross-Lingual Meta-Learning Method Based on Domain Adaptation for Speech Emotion
Recognition" (arXiv 2410.04633). Sizes and the order of projection, gate and pooling are metaser's choice.

Letters: B batch, N frames, D frame width, E embedding size, C classes, M support clips, Q queries.
"""

from typing import ClassVar, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaser.runtime.errors import InputError
from metaser.toolkit.model.encoder import Backbone
from metaser.toolkit.model.masking import frame_mask, masked_mean

__all__ = [
    "GLU",
    "HEADS",
    "Clips",
    "Head",
    "LateralInhibition",
    "MeanFC",
    "ProtoNet",
    "cosine_logits",
    "frame_mask",
    "identity_head",
    "make_head",
    "prototypes",
    "surrogate_step",
]

Clips: TypeAlias = tuple[Tensor, Tensor]
"""Waveform [B, T] float32 at 16 kHz, zeros after each clip, and lengths [B] int64."""

EMBEDDING_SIZE = 256
INITIAL_SCALE = 10.0
SURROGATE_SLOPE = 10.0


class Head(nn.Module):
    """Frames [B, N, D] and frame_mask [B, N] (0 = padding or masked) -> embedding [B, E], not normalised.

    A clip whose mask is all 0 has an embedding of zeros. `scale` multiplies the cosines of this head's embeddings.
    """

    kind: ClassVar[str]

    def __init__(self, width: int, embedding_size: int) -> None:
        super().__init__()
        self.width = width
        self.embedding_size = embedding_size
        self.scale = nn.Parameter(torch.tensor(INITIAL_SCALE))


class MeanFC(Head):
    """The mean of the frames, then a linear layer."""

    kind = "mean-fc"

    def __init__(self, width: int, embedding_size: int) -> None:
        super().__init__(width, embedding_size)
        self.projection = nn.Linear(width, embedding_size)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """[B, N, D] and [B, N] -> [B, E]."""
        embedding: Tensor = self.projection(masked_mean(frames, mask))  # [B, E]
        return embedding * mask.amax(1, keepdim=True)  # no bias if there is no frame


class LateralInhibition(Head):
    """A linear layer per frame, lateral inhibition at width E, then the mean over frames.

    LI(x) = x * H(x W0 + b), W0 with a zero diagonal, H the step function: the other features of a frame switch a
    feature on or off (Păiș, SemEval-2022).
    """

    kind = "lateral-inhibition"

    def __init__(self, width: int, embedding_size: int) -> None:
        super().__init__(width, embedding_size)
        self.projection = nn.Linear(width, embedding_size)
        self.inhibition = nn.Linear(embedding_size, embedding_size)
        self.others: Tensor  # [E, E], 0 on the diagonal and 1 elsewhere
        self.register_buffer("others", 1 - torch.eye(embedding_size), persistent=False)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """[B, N, D] and [B, N] -> [B, E]."""
        x = self.projection(frames)  # [B, N, E]
        gate = surrogate_step(F.linear(x, self.inhibition.weight * self.others, self.inhibition.bias))
        return masked_mean(x * gate, mask)


class GLU(Head):
    """Two linear layers per frame, one gating the other, then the mean over frames: a * sigmoid(b)."""

    kind = "glu"

    def __init__(self, width: int, embedding_size: int) -> None:
        super().__init__(width, embedding_size)
        self.value = nn.Linear(width, embedding_size)
        self.gate = nn.Linear(width, embedding_size)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """[B, N, D] and [B, N] -> [B, E]."""
        return masked_mean(self.value(frames) * torch.sigmoid(self.gate(frames)), mask)


def surrogate_step(z: Tensor) -> Tensor:
    """H(z) = 1 if z > 0 else 0, with the gradient sigmoid(kz) sigmoid(-kz), k = 10.

    Of `soft - soft.detach()` only the gradient remains; plain operations, so that the gradient exports too.
    """
    soft = torch.sigmoid(SURROGATE_SLOPE * z) / SURROGATE_SLOPE
    return (z > 0).to(z.dtype) + (soft - soft.detach())


HEADS: dict[str, type[Head]] = {head.kind: head for head in (MeanFC, LateralInhibition, GLU)}


def make_head(kind: str, width: int, embedding_size: int = EMBEDDING_SIZE) -> Head:
    """A newly initialised head for frames of this width."""
    if kind not in HEADS:
        raise InputError(f"the head {kind!r} is not known; known are {', '.join(HEADS)}")
    return HEADS[kind](width, embedding_size)


def identity_head(width: int) -> MeanFC:
    """The identity head of an untrained model: Mean-FC with E = D; the embedding is the mean frame."""
    head = MeanFC(width, width)
    nn.init.eye_(head.projection.weight)
    nn.init.zeros_(head.projection.bias)
    return head


def prototypes(embeddings: Tensor, support_weights: Tensor) -> Tensor:
    """[M, E] and [C, M] -> [C, E] unit rows: the weighted sums of un-normalised embeddings, normalised after.

    For the plain mean, row c of `support_weights` holds 1 / K at the K clips of class c.
    """
    return F.normalize(support_weights @ embeddings, dim=-1)


def cosine_logits(embeddings: Tensor, prototypes: Tensor, scale: Tensor) -> Tensor:
    """[Q, E] and unit rows [C, E] -> [Q, C], scale times the cosine."""
    return scale * F.normalize(embeddings, dim=-1) @ prototypes.T


class ProtoNet(nn.Module):
    """A prototypical network: a backbone, and a head on its frames."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        if head.width != backbone.width:
            raise InputError(f"the head takes frames of width {head.width}, the backbone gives {backbone.width}")
        self.backbone = backbone
        self.head = head

    def embed(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] and [B] -> [B, E], not normalised."""
        frames, frame_lengths = self.backbone(waveform, lengths)  # [B, N, D]
        return self.head(frames, frame_mask(frame_lengths, frames.shape[1]))

    def forward(self, support: Clips, query: Clips, support_weights: Tensor) -> Tensor:
        """One episode: M support clips with their weights [C, M], Q queries -> logits [Q, C]."""
        classes = prototypes(self.embed(*support), support_weights)  # [C, E]
        return cosine_logits(self.embed(*query), classes, self.head.scale)
