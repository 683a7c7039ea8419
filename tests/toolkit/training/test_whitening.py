"""Heads initialised from statistics: the effect of their first layer on the vectors it was set from."""

import pytest
import torch
from torch import nn

from metaser.runtime.errors import InputError
from metaser.toolkit.model.network import HEADS, make_head
from metaser.toolkit.training.whitening import first_layer, set_whitening


def vectors() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([16.0, 4.0, 1.0, 0.0])
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    return (torch.randn(5000, 4, generator=generator) * scales) @ rotation + 100


def test_outputs_have_no_mean_no_correlation_and_variances_on_average_one() -> None:
    layer = nn.Linear(4, 3)
    set_whitening(layer, vectors(), 0.25)
    covariance = torch.cov(layer(vectors()).detach().T)
    assert layer(vectors()).mean(0).detach().tolist() == pytest.approx([0, 0, 0], abs=1e-3)
    assert float(covariance.trace()) == pytest.approx(3, rel=1e-3)
    assert covariance - torch.diag(covariance.diagonal()) == pytest.approx(torch.zeros(3, 3), abs=1e-3)


@pytest.mark.parametrize(("power", "ratio"), [(0.0, 16.0), (0.125, 8.0), (0.25, 4.0), (0.5, 1.0)])
def test_a_deviation_of_sixteen_times_shrinks_by_the_power(power: float, ratio: float) -> None:
    layer = nn.Linear(4, 3)
    set_whitening(layer, vectors(), power)
    deviations = layer(vectors()).std(0).detach()
    assert (deviations[2] / deviations[0]).item() == pytest.approx(ratio, rel=0.05)


def test_directions_without_variance_stay_finite() -> None:
    layer = nn.Linear(4, 4)
    set_whitening(layer, vectors(), 0.25)
    assert torch.isfinite(layer.weight).all()


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_has_a_layer_that_takes_the_frames(kind: str) -> None:
    assert first_layer(make_head(kind, 6, 4)).in_features == 6


def test_more_entries_than_the_frames_have_are_refused() -> None:
    with pytest.raises(InputError, match=r"embedding_size is 5 and the frames have 4 entries"):
        set_whitening(nn.Linear(4, 5), vectors(), 0.25)
