"""Dropped frames: which are kept, and that keeping all gives the unchanged network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.frame_dropping import embed_thinned, thin
from metaser.toolkit.model.network import ProtoNet, make_head


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_of_every_clip_its_share_is_kept_in_order_and_nothing_of_its_padding() -> None:
    lengths = [10, 4, 1]
    frames = torch.arange(10.0)[None, :, None].repeat(3, 1, 2)
    kept, counts = thin(frames, torch.tensor(lengths), 0.5, rng())
    assert counts.tolist() == [5, 2, 1]
    assert kept.shape == (3, 5, 2)
    for row, count, length in zip(kept[:, :, 0].tolist(), counts.tolist(), lengths, strict=True):
        assert row[:count] == sorted(set(row[:count]))
        assert max(row[:count]) < length


def test_every_frame_is_kept_as_often_as_every_other() -> None:
    frames = torch.arange(20.0)[None, :, None].repeat(2000, 1, 1)
    kept, _ = thin(frames, torch.full((2000,), 20), 0.3, rng())
    counts = np.bincount(kept.flatten().long().numpy(), minlength=20)
    assert counts / 2000 == pytest.approx(np.full(20, 0.3), abs=0.05)


def test_keeping_all_frames_is_the_plain_embedding(saved: Callable[[str], Any]) -> None:
    backbone = load_backbone(saved("whisper").folder)
    network = ProtoNet(backbone, make_head("mean-fc", backbone.width, 8)).eval()
    waveform, lengths = torch.randn(3, 8000), torch.tensor([8000, 5000, 700])
    with torch.no_grad():
        thinned = embed_thinned(network, (waveform, lengths), 1.0, rng())
        assert torch.allclose(thinned, network.embed(waveform, lengths), atol=1e-6)


def test_padding_changes_nothing_when_thinned(saved: Callable[[str], Any]) -> None:
    backbone = load_backbone(saved("whisper").folder)
    network = ProtoNet(backbone, make_head("mean-fc", backbone.width, 8)).eval()
    waveform = torch.randn(1, 5000)
    padded = torch.nn.functional.pad(waveform, (0, 3000))
    with torch.no_grad():
        alone, together = (
            embed_thinned(network, (clip, torch.tensor([5000])), 0.4, rng()) for clip in (waveform, padded)
        )
    assert torch.allclose(alone, together, atol=1e-5)
