"""The weighted sum of layers: its value, and saving it in a checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaser.toolkit.model.checkpoint import CheckpointMetadata, load_checkpoint, save_checkpoint
from metaser.toolkit.model.layer_sum import WeightedSum
from metaser.toolkit.model.network import ProtoNet, make_head

CLIP = np.random.default_rng(0).normal(0, 0.1, 6400).astype(np.float32)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(CLIP)[None], torch.tensor([len(CLIP)])


@pytest.mark.parametrize("name", ["whisper", "wav2vec2", "wavlm"])
def test_one_layer_s_weight_alone_gives_that_layer(saved: Callable[[str], Any], name: str) -> None:
    pretrained = saved(name)
    backbone = pretrained.backbone(3)
    backbone.layer_sum = WeightedSum(3)
    for layer in (1, 2, 3):
        with torch.no_grad():
            backbone.layer_sum.logits.fill_(-40.0)[layer] = 40.0
            frames = backbone(*batch())[0][0]
        torch.testing.assert_close(frames, pretrained.backbone(layer)(*batch())[0][0], rtol=1e-5, atol=1e-5)


def test_it_begins_as_the_mean_of_all_states() -> None:
    states = [torch.full((1, 2, 3), float(number)) for number in range(4)]
    torch.testing.assert_close(WeightedSum(3)(states), torch.full((1, 2, 3), 1.5))


def test_it_survives_a_checkpoint(saved: Callable[[str], Any], tmp_path: Path) -> None:
    backbone = saved("whisper").backbone(2)
    backbone.layer_sum = WeightedSum(2)
    torch.nn.init.normal_(backbone.layer_sum.logits)
    network = ProtoNet(backbone, make_head("glu", 32, 8)).eval()
    save_checkpoint(tmp_path / "best", network, CheckpointMetadata("x", "MIT"))
    again, _ = load_checkpoint(tmp_path / "best")
    with torch.no_grad():
        assert torch.equal(again.embed(*batch()), network.embed(*batch()))
