"""A learnt weighted sum of layers, which replaces the output of the last layer."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class WeightedSum(nn.Module):
    """L + 1 hidden states [B, N, D] -> [B, N, D], their mean with softmax weights, initially equal.

    The states are the input of the first layer and the output of each layer, as in SUPERB (Yang et al., 2021).
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers + 1))

    def forward(self, states: Iterable[Tensor]) -> Tensor:
        """L + 1 times [B, N, D] -> [B, N, D]."""
        first, *others = zip(torch.softmax(self.logits, dim=0), states, strict=True)
        total: Tensor = first[0] * first[1]
        for weight, state in others:
            total = total + weight * state
        return total
