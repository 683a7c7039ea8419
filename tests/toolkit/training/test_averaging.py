"""The moving average of weights, and the interpolation between two networks."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from metaser.toolkit.training.averaging import average_of, interpolated


def weight_of(average: AveragedModel) -> float:
    layer = average.module
    assert isinstance(layer, nn.Linear)
    return float(layer.weight.detach())


def test_the_average_keeps_its_share_once_it_has_run_for_long() -> None:
    network, weights = nn.Linear(1, 1, bias=False), [1.0, 2.0, 3.0]
    average = average_of(network, 0.15)
    for weight in weights:
        nn.init.constant_(network.weight, weight)
        average.update_parameters(network)
    # the first is taken over; then 0.15 is below (1 + n) / (10 + n) = 2/11 and 3/12
    assert weight_of(average) == pytest.approx(0.15 * (0.15 * 1 + 0.85 * 2) + 0.85 * 3)


def test_the_average_forgets_its_beginning_sooner_than_its_share_says() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = average_of(network, 0.999)
    for weight in (1.0, 2.0):
        nn.init.constant_(network.weight, weight)
        average.update_parameters(network)
    assert weight_of(average) == pytest.approx((2 * 1 + 9 * 2) / 11)


def test_the_average_is_no_part_of_the_gradient_and_in_eval_mode() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    network.train()
    average = average_of(network, 0.9)
    network(torch.ones(1, 2)).sum().backward()
    assert not average.module.training
    assert all(parameter.grad is None for parameter in average.parameters())


def test_three_quarters_of_the_way_lie_between_both_ends_which_stay_as_they_are() -> None:
    start, learnt = nn.Linear(1, 1), nn.Linear(1, 1)
    for network, weight, bias in ((start, 1.0, 0.0), (learnt, 5.0, -2.0)):
        nn.init.constant_(network.weight, weight)
        nn.init.constant_(network.bias, bias)
    between = interpolated(start, learnt, 0.75)
    assert [parameter.item() for parameter in between.parameters()] == [4.0, -1.5]
    assert (start.weight.item(), learnt.weight.item()) == (1.0, 5.0)
    assert not between.training
