"""Weight averaging: an exponential moving average over a run, and an interpolation to its start."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Network = TypeVar("Network", bound=nn.Module)


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network whose weights `update_parameters(network)` moves towards the network by 1 - decay.

    Early updates move it further, as in TensorFlow: after n updates it keeps at most (1 + n) / (10 + n), so the initial
    weights lose their influence quickly.
    """

    def follow(average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        done = int(updates)
        kept = min(decay, (1 + done) / (10 + done))
        return average.lerp(current, 1 - kept)

    averaged = AveragedModel(network, avg_fn=follow)
    averaged.eval()
    return averaged


@torch.no_grad()
def interpolated(start: Network, learnt: nn.Module, share: float) -> Network:
    """A network, in eval mode, with weights linearly interpolated between two networks of the same layout.

    It generalises better to other data than the learnt weights (WiSE-FT, Wortsman et al., CVPR 2022).
    """
    between = copy.deepcopy(start)
    for weight, other in zip(between.parameters(), learnt.parameters(), strict=True):
        weight.lerp_(other, share)
    return between.eval()
