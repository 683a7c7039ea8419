"""SpecAugment: where the masks lie, and that they reach the backbone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metaser.toolkit.config import AugmentConfig
from metaser.toolkit.model.spec_augment import draw_stripes, masked

LENGTHS = [8000, 6400, 3000]


def clips() -> tuple[Tensor, Tensor]:
    waveform = 0.1 * torch.randn(3, 8000, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor(LENGTHS)
    return waveform * (torch.arange(8000) < lengths[:, None]), lengths


def test_stripes_lie_within_their_rows_and_are_never_too_wide() -> None:
    lengths = np.array([100, 40, 3])
    for seed in range(50):
        hidden = draw_stripes(lengths, 120, 1, 20, np.random.default_rng(seed))
        assert not any(row[length:].any() for row, length in zip(hidden, lengths, strict=True))
        assert (hidden.sum(1) <= [20, 10, 0]).all()
        assert (np.abs(np.diff(hidden.astype(int), axis=1)).sum(1) <= 2).all()  # one stretch
    assert not draw_stripes(lengths, 120, 0, 20, np.random.default_rng(0)).any()


def test_stripes_begin_and_end_anywhere() -> None:
    rng = np.random.default_rng(0)
    hidden = draw_stripes(np.full(2000, 10), 10, 1, 2, rng)
    assert hidden.any(0).all()


def test_whole_bands_and_whole_stretches_of_the_log_mel_are_blanked(saved: Callable[[str], Any]) -> None:
    backbone = saved("whisper").loaded
    seen: list[Tensor] = []
    settings = AugmentConfig(time_masks=1, time_mask_s=0.1, frequency_masks=1, frequency_mask_bins=15)
    with torch.no_grad(), masked(backbone, LENGTHS, settings, np.random.default_rng(3)):
        late = backbone.log_mel.register_forward_hook(lambda *call: seen.append(call[2]))
        backbone(*clips())
        late.remove()
    plain, blanked = backbone.log_mel(*clips()), seen[0]
    changed = plain != blanked
    assert (blanked[changed] == 0).all()
    for row in range(2):
        frames = 2 * -(-LENGTHS[row] // 320)
        zero = blanked[row, :, :frames] == 0  # [bins, frames]
        bands, stretches = zero.all(1), zero.all(0)
        assert torch.equal(zero, bands[:, None] | stretches[None])
        assert stretches.sum() <= 10
        assert bands.sum() <= 15


@pytest.mark.parametrize("name", ["whisper", "wav2vec2", "hubert", "wavlm", "data2vec-audio"])
def test_masks_change_every_backbone_s_frames_inside_the_block_only(saved: Callable[[str], Any], name: str) -> None:
    backbone = saved(name).loaded
    with torch.no_grad():
        plain = backbone(*clips())[0]
        with masked(backbone, LENGTHS, AugmentConfig(), np.random.default_rng(1)):
            first = backbone(*clips())[0]
        with masked(backbone, LENGTHS, AugmentConfig(), np.random.default_rng(1)):
            again = backbone(*clips())[0]
        after = backbone(*clips())[0]
    assert torch.equal(plain, after)
    assert torch.equal(first, again)
    assert not torch.allclose(plain[0], first[0])


def test_without_masks_nothing_changes(saved: Callable[[str], Any]) -> None:
    backbone = saved("wav2vec2").loaded
    with torch.no_grad(), masked(backbone, LENGTHS, AugmentConfig(time_masks=0), np.random.default_rng(0)):
        frames = backbone(*clips())[0]
    with torch.no_grad():
        assert torch.equal(frames, backbone(*clips())[0])
