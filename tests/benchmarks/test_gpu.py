"""The GPU benchmark without a GPU: synthetic clips, settings, log parsing, report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu import training as gpu_training
from benchmarks.gpu.parity import episode_gradients, rounding
from benchmarks.gpu.report import to_markdown
from benchmarks.gpu.training import RECIPE, figures, settings, write_speech
from benchmarks.machine import read_result
from metaser.toolkit.config import Config, load_config
from metaser.toolkit.data.corpora import read_manifest
from metaser.toolkit.episodes.sampler import EpisodeSampler
from metaser.toolkit.model.backbone import build_backbone
from metaser.toolkit.model.network import ProtoNet, make_head
from metaser.toolkit.toml_config import to_dataclass
from metaser.toolkit.training.batches import pad


@pytest.fixture
def short_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_training, "CLIP_S", 0.05)


@pytest.mark.usefixtures("short_clips")
def test_the_clips_serve_the_episodes_of_the_recipe(tmp_path: Path) -> None:
    corpus = read_manifest(write_speech(tmp_path))
    held_out = set(gpu_training.VALIDATION_SPEAKERS)
    training = [clip for clip in corpus.utterances if clip.speaker not in held_out]
    assert (len(corpus.utterances), len(training)) == (640, 480)
    episode = EpisodeSampler(training, load_config(RECIPE).episodes, 0, "label").draw(0)
    assert (episode.support.shape, len(episode.query_indices)) == ((4, 5), 60)


@pytest.mark.usefixtures("short_clips")
def test_the_recipe_is_changed_in_clips_backbone_length_and_validation_alone(tmp_path: Path) -> None:
    config = to_dataclass(Config, settings(tmp_path, Path("backbone"), "fp16", "cuda", 200), "test")
    recipe = load_config(RECIPE)
    for name in ("optimiser", "freeze", "augment", "adversary", "gradient_checkpointing", "workers"):
        assert getattr(config, name) == getattr(recipe, name)
    assert (config.precision, config.device, config.episodes.count) == ("fp16", "cuda", 200)
    assert (config.model.layers, config.episodes.n_query, config.data.crop_s) == (14, 15, 3.0)


def test_figures_of_a_log_by_hand(tmp_path: Path) -> None:
    steps = [
        {"event": "step", "step": n + 1, "loss": 2.0 - n / 10, "gradient_norm": float("inf") if n == 1 else 1.0,
         "seconds": 9.0 if n < 5 else 2.0, "waited_s": 1.0, "peak_gpu_gib": 3.0 + n}
        for n in range(10)
    ]  # fmt: skip
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(step)}\n" for step in steps) + '{"event": "st')
    found = figures(tmp_path, accumulation=4, stopped_at=10)
    assert (found["steps"], found["episodes"], found["step_numbers_whole"], found["losses_finite"]) == (
        10, 40, True, True,
    )  # fmt: skip
    assert found["steps_without_a_finite_gradient"] == [2]
    assert found["loss_first_and_last_tenth"] == pytest.approx([2.0, 1.1])
    assert (found["seconds_an_episode"], found["waited_s_an_episode"], found["peak_gpu_gib"]) == (0.5, 0.25, 12.0)


def test_gradients_do_not_depend_on_the_scale_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [8] * 7}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    description = {"model_type": "wav2vec2", "layers": 1, "do_normalize": True, "config": {**sizes, **positions}}
    backbone = build_backbone(description)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, 0.5, 0.5)
    network = ProtoNet(backbone, make_head("glu", backbone.width, 8)).eval()
    batch = pad([np.float32(0.1) * torch.randn(2000).numpy() for _ in range(4)])
    loss, gradient = episode_gradients(network, batch)
    monkeypatch.setattr("benchmarks.gpu.parity.LOSS_SCALE", 1.0)
    other_loss, other = episode_gradients(network, batch)
    assert loss == other_loss > 0
    torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-6)


def test_rounding_is_as_before_afterwards() -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with rounding(tf32=not before[0]):
        assert torch.backends.cuda.matmul.allow_tf32 is not before[0]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_the_report_names_the_card_and_every_part_of_the_result() -> None:
    document = read_result("gpu")
    text = to_markdown(document)
    for part in ("parity", "options", "latency", "training"):
        assert f"## {part.capitalize()}" in text
        assert document[part]["card"]["gpu"] in text
