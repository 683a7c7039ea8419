"""The optimiser of a run: learning rates per parameter group, and their schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from metaser.toolkit.config import Config, OptimiserConfig
from metaser.toolkit.model.network import ProtoNet


def make_optimiser(settings: OptimiserConfig, network: ProtoNet, *others: nn.Module) -> torch.optim.Optimizer:
    """AdamW or SGD over all parameters that are not frozen; each group stores its full rate as `full_rate`."""
    groups = parameter_groups(settings, network, *others)
    if settings.kind == "sgd":
        return torch.optim.SGD(groups, lr=settings.head_lr, momentum=settings.momentum)
    return torch.optim.AdamW(groups, lr=settings.head_lr)


def parameter_groups(settings: OptimiserConfig, network: ProtoNet, *others: nn.Module) -> list[dict[str, Any]]:
    """Groups with one rate and one decay each, in the order of the network's parameters."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in _named(network, *others):
        if not parameter.requires_grad:
            continue
        rate = lr_of(name, settings, network.backbone.layers)
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        new = {"params": [], "lr": rate, "full_rate": rate, "weight_decay": decay}
        groups.setdefault((rate, decay), new)["params"].append(parameter)
    return list(groups.values())


def lr_of(name: str, settings: OptimiserConfig, layers: int) -> float:
    """The full rate of a parameter: the topmost layer's, times `layer_decay` for each layer further down."""
    if not name.startswith("backbone.") or name.startswith("backbone.layer_sum."):
        return settings.head_lr
    marker = "encoder.layers."
    below = layers - 1 - int(name.partition(marker)[2].partition(".")[0]) if marker in name else layers
    return settings.backbone_lr * settings.layer_decay**below


def lr_factor(config: Config, step: int) -> float:
    """Factor on the full rates at step 0 to steps - 1: linear warm-up, then cosine decay to 0."""
    warmup = min(math.ceil(config.optimiser.warmup / config.optimiser.gradient_accumulation), config.steps)
    if step < warmup:
        return (step + 1) / warmup
    if config.optimiser.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (config.steps - warmup)))


def set_lrs(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of every group to its full rate times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["full_rate"] * factor


def trainable(network: nn.Module, *others: nn.Module) -> list[nn.Parameter]:
    """Every parameter that is not frozen, always in the same order."""
    return [parameter for _, parameter in _named(network, *others) if parameter.requires_grad]


def _named(network: nn.Module, *others: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    yield from network.named_parameters()
    for number, module in enumerate(others):
        yield from module.named_parameters(prefix=f"others.{number}")
