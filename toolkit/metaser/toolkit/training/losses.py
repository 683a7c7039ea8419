"""The losses of an episode: queries by prototypes, optionally support by the queries' prototypes, labels, and teachers.

Letters: M support clips, R queries, B = M + R clips, E embedding size, C classes of the episode.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaser.toolkit.model.network import cosine_logits, prototypes
from metaser.toolkit.training.batches import EpisodeBatch


class LabelClassifier(nn.Module):
    """Embeddings [B, E] -> logits [B, labels], `scale` times the cosine to one learnt direction per label."""

    def __init__(self, embedding_size: int, labels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.directions = nn.Parameter(torch.randn(labels, embedding_size) / embedding_size**0.5)

    def forward(self, embeddings: Tensor) -> Tensor:
        """The logits."""
        cosines: Tensor = F.normalize(embeddings, dim=-1) @ F.normalize(self.directions, dim=-1).T
        return self.scale * cosines


def prototype_loss(
    embeddings: Tensor, episode: EpisodeBatch, scale: Tensor, *, symmetric_loss: bool
) -> tuple[Tensor, Tensor]:
    """[B, E] -> the cross-entropy of the queries, and their accuracy.

    With `symmetric_loss` the loss is the mean of this and of the same with support and queries exchanged.
    """
    support, queries = embeddings.split([len(episode.support_targets), len(episode.targets)])
    logits = cosine_logits(queries, prototypes(support, episode.support_weights), scale)  # [R, C]
    loss = F.cross_entropy(logits, episode.targets)
    if symmetric_loss:
        others = cosine_logits(support, prototypes(queries, mean_weights(episode.targets)), scale)  # [M, C]
        loss = (loss + F.cross_entropy(others, episode.support_targets)) / 2
    return loss, accuracy(logits, episode.targets)


def distillation_loss(embeddings: Tensor, wanted: Tensor) -> Tensor:
    """[B, E] and [B, E], the teachers' -> 1 minus their mean cosine."""
    return 1 - F.cosine_similarity(embeddings, wanted).mean()


def mean_weights(targets: Tensor) -> Tensor:
    """[R] classes 0 to C - 1 -> [C, R], in each row the weights of the mean over the clips of a class."""
    members = F.one_hot(targets).T.float()
    return members / members.sum(1, keepdim=True).clamp(min=1)


def accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """[R, C] and [R] -> the accuracy: the share of rows whose highest logit is the target's."""
    return (logits.argmax(-1) == targets).float().mean()
