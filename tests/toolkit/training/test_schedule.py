"""Learning rates per weight, weight decay, and the schedule."""

import pytest
import torch

from metaser.toolkit.config import Config, DataConfig, EpisodesConfig, FreezeConfig, ModelConfig, OptimiserConfig
from metaser.toolkit.model.layer_sum import WeightedSum
from metaser.toolkit.model.network import ProtoNet
from metaser.toolkit.training.freezing import freeze, layers_of, set_training_mode
from metaser.toolkit.training.schedule import (
    lr_factor,
    lr_of,
    make_optimiser,
    parameter_groups,
    set_lrs,
    trainable,
)


def config(count: int = 100, **optimiser: object) -> Config:
    data = DataConfig(manifests=("a",))  # type: ignore[arg-type]
    settings = OptimiserConfig(**optimiser)  # type: ignore[arg-type]
    return Config(data, ModelConfig("x"), EpisodesConfig(count=count), settings)


def test_rates_fall_with_depth() -> None:
    settings = OptimiserConfig(backbone_lr=1.0, head_lr=7.0, layer_decay=0.5)
    assert lr_of("backbone.encoder.layers.2.final_layer_norm.bias", settings, 3) == 1.0
    assert lr_of("backbone.encoder.layers.1.attention.q_proj.weight", settings, 3) == 0.5
    assert lr_of("backbone.encoder.layers.0.attention.q_proj.weight", settings, 3) == 0.25
    assert lr_of("backbone.feature_projection.projection.weight", settings, 3) == 0.125
    for name in ("head.gate.weight", "backbone.layer_sum.logits", "discriminator.output.weight"):
        assert lr_of(name, settings, 3) == 7.0


def test_every_trainable_parameter_is_in_one_group_and_vectors_do_not_decay(network: ProtoNet) -> None:
    freeze(network.backbone, FreezeConfig(front_end=True))
    groups = parameter_groups(OptimiserConfig(layer_decay=0.9, weight_decay=0.1), network)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in trainable(network))
    for group in groups:
        assert all((parameter.ndim > 1) == (group["weight_decay"] > 0) for parameter in group["params"])


def test_the_rate_rises_then_falls_along_half_a_cosine() -> None:
    factors = [lr_factor(config(warmup=10), step) for step in range(100)]
    assert factors[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert factors[9] == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[-1] < 0.01
    assert lr_factor(config(warmup=40, gradient_accumulation=4), 9) == 1.0  # counted in episodes
    assert lr_factor(config(warmup=0, schedule="constant"), 99) == 1.0
    assert lr_factor(config(count=5, warmup=100), 4) == 1.0  # a run shorter than its warm-up


@pytest.mark.parametrize(("kind", "optimiser"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_optimiser_is_the_one_asked_for(
    network: ProtoNet, kind: str, optimiser: type[torch.optim.Optimizer]
) -> None:
    made = make_optimiser(config(kind=kind, momentum=0.8).optimiser, network)
    assert isinstance(made, optimiser)
    set_lrs(made, 0.5)
    set_lrs(made, 0.1)
    assert all(group["lr"] == pytest.approx(0.1 * group["full_rate"]) for group in made.param_groups)


@pytest.mark.parametrize(
    ("settings", "learning"),
    [
        (FreezeConfig(front_end=False), ("feature_extractor", "feature_projection", "encoder")),
        (FreezeConfig(), ("feature_projection", "encoder")),
        (FreezeConfig(layers=1), ("encoder.layers.1", "layer_sum")),
        (FreezeConfig(all=True), ("layer_sum",)),
    ],
)
def test_what_is_frozen_has_no_gradient_and_no_dropout(
    network: ProtoNet, settings: FreezeConfig, learning: tuple[str, ...]
) -> None:
    backbone = network.backbone
    backbone.layer_sum = WeightedSum(2)
    freeze(backbone, settings)
    set_training_mode(network, settings)
    names = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    assert all(name.startswith((*learning, "layer_sum")) for name in names)
    assert all(any(name.startswith(part) for name in names) for part in learning)
    assert network.head.training
    first, second = layers_of(backbone)
    assert first.training == (settings.layers == 0 and not settings.all)
    assert second.training == (not settings.all)
    assert all(parameter.requires_grad for parameter in network.head.parameters())
