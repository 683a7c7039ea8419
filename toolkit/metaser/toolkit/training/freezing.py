"""Frozen parts, dropout, gradient checkpointing and precision of a network in training."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from metaser.runtime.errors import InputError
from metaser.toolkit.config import FreezeConfig
from metaser.toolkit.model.encoder import Backbone
from metaser.toolkit.model.network import ProtoNet


def freeze(backbone: Backbone, settings: FreezeConfig) -> None:
    """Disable the gradients of frozen parts; no activations are stored below the first trainable layer.

    Raises:
        InputError: there are fewer layers than should be frozen.
    """
    if settings.layers > backbone.layers:
        raise InputError(f"freeze.layers is {settings.layers} and the backbone has {backbone.layers} layers")
    everything_below = settings.all or settings.layers > 0
    for parameter in backbone.parameters():
        parameter.requires_grad_(not everything_below)
    for part in backbone.front_end if settings.front_end else ():
        part.requires_grad_(requires_grad=False)
    if not settings.all:
        for layer in layers_of(backbone)[settings.layers :]:
            layer.requires_grad_()
    if backbone.layer_sum is not None:
        backbone.layer_sum.requires_grad_()


def set_training_mode(network: ProtoNet, settings: FreezeConfig) -> None:
    """Enable dropout in trainable parts and disable it in frozen parts; batch statistics never change."""
    network.train()
    backbone = network.backbone
    if settings.all or settings.layers > 0:
        backbone.eval()
    if not settings.all:
        for layer in layers_of(backbone)[settings.layers :]:
            layer.train()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()


def checkpoint_gradients(backbone: Backbone) -> None:
    """Let every layer store only its input and recompute the rest in the backward pass."""
    for layer in layers_of(backbone):
        assert isinstance(layer, GradientCheckpointingLayer)
        layer.gradient_checkpointing = True
        recompute: Any = partial(checkpoint, use_reentrant=False)
        layer._gradient_checkpointing_func = recompute


def layers_of(backbone: Backbone) -> nn.ModuleList:
    """The transformer layers."""
    layers = backbone.get_submodule("encoder.layers")
    assert isinstance(layers, nn.ModuleList)
    return layers


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has bfloat16 arithmetic; a CPU without it is about twenty times slower than in float32."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
