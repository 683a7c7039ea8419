"""Domain-adversarial training: embeddings that do not reveal the corpus or language.

Source: Ganin et al., "Domain-Adversarial Training of Neural Networks" (JMLR 2016). The discriminator's size and
input are metaser's choice. Letters: B batch, E embedding size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaser.runtime.errors import InputError
from metaser.toolkit.config import AdversaryConfig
from metaser.toolkit.data.utterances import Utterance


class GradientReversal(torch.autograd.Function):
    """The identity, with the gradient multiplied by -strength."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        """Return x."""
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Reverse the gradient."""
        return -ctx.strength * gradients[0], None


class Discriminator(nn.Module):
    """Embeddings [B, E] -> logits [B, domains], from their direction only, because that decides the class."""

    def __init__(self, embedding_size: int, domains: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(embedding_size, hidden_size)
        self.output = nn.Linear(hidden_size, domains)

    def forward(self, embeddings: Tensor, strength: float) -> Tensor:
        """The logits; the embeddings receive the reversed gradient, times `strength`."""
        reversed_ = GradientReversal.apply(embeddings, strength)  # type: ignore[no-untyped-call]
        direction = F.normalize(reversed_, dim=-1) * embeddings.shape[-1] ** 0.5  # entries near 1
        return self.output(F.relu(self.hidden(direction)))


def reversal_strength(settings: AdversaryConfig, progress: float) -> float:
    """Strength (lambda) at a progress of 0 to 1."""
    if settings.schedule == "constant":
        return settings.weight
    return settings.weight * (2 / (1 + math.exp(-10 * progress)) - 1)


def domains_of(utterances: Sequence[Utterance], settings: AdversaryConfig) -> tuple[str, ...]:
    """The domains to distinguish, sorted; empty without an adversary.

    Raises:
        InputError: there are fewer than two, or some clips have none.
    """
    if settings.on == "none":
        return ()
    names = {getattr(utterance, settings.on) for utterance in utterances}
    if "" in names:
        count = sum(not getattr(utterance, settings.on) for utterance in utterances)
        raise InputError(f"adversary.on is {settings.on!r} and {count} clips have none: add it in a manifest")
    if len(names) < 2:
        raise InputError(f"adversary.on is {settings.on!r} and all clips are of {next(iter(names))}: add another")
    return tuple(sorted(names))
