"""Stored variants: their content, that they are computed once, and that training on them resumes and learns."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from metaser.runtime.errors import InputError
from metaser.toolkit.config import Config
from metaser.toolkit.model.checkpoint import load_checkpoint
from metaser.toolkit.training.dataset import load_training_data
from metaser.toolkit.training.feature_cache import VariantStore
from metaser.toolkit.training.initial_network import open_network
from metaser.toolkit.training.train import train

MakeConfig: TypeAlias = Callable[..., Config]
PLAIN = {
    "noise_chance": 0, "gain_chance": 0, "speed_chance": 0, "reverberation_chance": 0, "time_masks": 0,
    "frequency_masks": 0,
}  # fmt: skip
STORED: dict[str, Any] = {"freeze": {"layers": 1, "variants": 2}}


def quiet(_line: str) -> None:
    pass


def store_of(config: Config) -> tuple[VariantStore, Any, Any]:
    material = load_training_data(config, quiet)
    network, _, _ = open_network(config, material)
    store = VariantStore(config, material.training_clips, network.backbone)
    store.fill(quiet)
    return store, material.training_clips, network.backbone


def test_a_variant_of_a_clip_without_effects_is_what_the_second_layer_takes(make_config: MakeConfig) -> None:
    config = make_config({**STORED, "augment": PLAIN, "data": {"crop_s": 9.0}})
    store, clips, backbone = store_of(config)
    waveform = torch.from_numpy(clips.load(3))[None]
    with torch.no_grad():
        expected = backbone.attend(*backbone.listen(waveform, torch.tensor([waveform.shape[1]])), stop=1)[0][0]
        whole = backbone.attend(expected[None], torch.tensor([len(expected)]), start=1)[0][0]
        plain = backbone(waveform, torch.tensor([waveform.shape[1]]))[0][0]
    assert store.load(3, 1) == pytest.approx(expected.numpy(), rel=2e-3, abs=2e-3)  # of float16
    assert torch.allclose(whole, plain, atol=1e-5)


def test_variants_differ_and_are_worked_out_once(make_config: MakeConfig) -> None:
    config = make_config(STORED)
    store, clips, _ = store_of(config)
    assert store.load(0, 0).shape != store.load(0, 1).shape or not np.array_equal(store.load(0, 0), store.load(0, 1))
    said: list[str] = []
    store.fill(said.append)
    assert not said
    files = sorted((config.out / "cache").rglob("*.npy"))
    assert len(files) == 2 * len(clips.utterances)
    files[0].unlink()
    store.fill(said.append)
    assert said == ["1 clips: computing the frozen part for 2 variants of each"]


def test_other_effects_or_weights_are_other_variants(make_config: MakeConfig) -> None:
    config = make_config(STORED)
    material = load_training_data(config, quiet)
    backbone = open_network(config, material)[0].backbone

    def folder(config: Config) -> Path:
        return VariantStore(config, material.training_clips, backbone)._folder

    before = folder(config)
    assert folder(replace(config, augment=replace(config.augment, frame_keep_ratio=0.5))) == before
    assert folder(replace(config, augment=replace(config.augment, noise_chance=0.1))) != before
    with torch.no_grad():
        next(iter(backbone.get_submodule("encoder.layers.1").parameters())).add_(1.0)
    assert folder(config) == before  # that layer learns
    with torch.no_grad():
        next(iter(backbone.get_submodule("encoder.layers.0").parameters())).add_(1.0)
    assert folder(config) != before


def test_training_on_variants_learns_above_the_frozen_part_and_resumes(
    make_config: MakeConfig, saved: Callable[[str], Any], tmp_path: Path
) -> None:
    settings = {**STORED, "augment": {"frame_keep_ratio": 0.5}, "validation": {"every": 0}}
    best = train(make_config({**settings, "out": str(tmp_path / "whole"), "save_every": 4}), quiet)
    before, after = saved("whisper").backbone(2).state_dict(), load_checkpoint(best)[0].backbone.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("encoder.layers.1.") for name in changed)
    again = load_checkpoint(train(make_config({**settings, "out": str(tmp_path / "again")}), quiet))[0]
    assert all(torch.equal(after[name], value) for name, value in again.backbone.state_dict().items())


def test_variants_need_a_frozen_part_of_whisper(make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=r"freeze.variants is for Whisper only and this backbone is wav2vec2"):
        train(make_config(STORED, "wav2vec2"), quiet)
    learning = {"freeze": {"front_end": False, "variants": 2}}
    with pytest.raises(InputError, match=r"set freeze.front_end or freeze.layers"):
        train(make_config(learning), quiet)
    with pytest.raises(InputError, match=r"model.weighted_sum needs all"):
        train(make_config({**STORED, "model": {"weighted_sum": True}}), quiet)
