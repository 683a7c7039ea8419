"""Weights that follow a run slowly or stay near its start: an average, a share of the way, a pull back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Network = TypeVar("Network", bound=nn.Module)


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network whose weights `update_parameters(network)` moves by a share of 1 - decay.

    Early on by more, as TensorFlow's does: after n updates it keeps at most (1 + n) / (10 + n), so the beginning is
    soon forgotten.
    """

    def follow(average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        done = int(updates)
        kept = min(decay, (1 + done) / (10 + done))
        return average.lerp(current, 1 - kept)

    averaged = AveragedModel(network, avg_fn=follow)
    averaged.eval()
    return averaged


@torch.no_grad()
def on_the_way(start: Network, learnt: nn.Module, share: float) -> Network:
    """A network, in eval mode, whose weights lie so far on the straight way from one to another of the same layout.

    What is learnt then carries over better to other data than the whole way (WiSE-FT, Wortsman et al., CVPR 2022).
    """
    between = copy.deepcopy(start)
    for weight, other in zip(between.parameters(), learnt.parameters(), strict=True):
        weight.lerp_(other, share)
    return between.eval()


class Pull:
    """L2-SP (Li et al., ICML 2018), decoupled from the gradient as AdamW's decay is: weights drawn to their start."""

    def __init__(self, parameters: Sequence[nn.Parameter], strength: float) -> None:
        self._start = {parameter: parameter.detach().clone() for parameter in parameters}
        self._strength = strength

    @torch.no_grad()
    def apply(self, optimiser: torch.optim.Optimizer) -> None:
        """After a step: every weight goes back by its rate times the strength of its way from the start."""
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                if parameter in self._start:
                    parameter.lerp_(self._start[parameter], min(1.0, group["lr"] * self._strength))
