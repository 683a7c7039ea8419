"""The device's path and PyTorch's on the same episodes: a bundle and the checkpoint that it was exported from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from metaser.export.bundle import ExportSettings, export_bundle
from metaser.export.golden import voiced_waveform
from metaser.export.source import open_source
from metaser.runtime.errors import SupportError
from metaser.toolkit.data.utterances import Utterance
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
from metaser.toolkit.evaluation.evaluate import Evaluation, compare
from metaser.toolkit.evaluation.tuned_evaluation import evaluate_tuned, frame_clips, open_tunable
from metaser.toolkit.model.checkpoint import CheckpointMetadata, save_checkpoint
from metaser.toolkit.model.network import ProtoNet, make_head

EPISODES = 30


@pytest.fixture(scope="module")
def models(whisper: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of random weights with a calibration, and its bundle in fp32."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    backbone = whisper.backbone(1)
    network = ProtoNet(backbone, make_head("glu", backbone.width, 8)).eval()
    metadata = CheckpointMetadata(source="made/up", licence="MIT", calibration={"temperature": 0.1})
    save_checkpoint(folder / "checkpoint", network, metadata)
    source = open_source(str(folder / "checkpoint"), None, None)
    export_bundle(source, folder / "bundle", ExportSettings("tiny", "fp32", "metaser export"), lambda _: None)
    return {name: folder / name for name in ("checkpoint", "bundle")}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Three classes that differ by a filter, of two speakers, under noise."""
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for number in range(36):
        label = "abc"[number % 3]
        voice = voiced_waveform(6_000 + 100 * number, number)
        noise = 0.05 * np.random.default_rng(number).standard_normal(len(voice))
        waveform = np.convolve(voice, [1, (0.0, 0.9, -0.9)[number % 3]], mode="same") + noise
        path = folder / f"{number}.wav"
        soundfile.write(path, np.clip(0.5 * waveform, -1, 1), 16_000)
        found.append(
            Utterance(
                path=path, label=label, original_label=label, speaker=f"s{number % 2}", language="xx", corpus="made-up"
            )
        )
    return found


def evaluated(model: Path, clips: list[Utterance], k_shot: int = 3) -> Evaluation:
    tunable = open_tunable(str(model), "split")
    framed = frame_clips(tunable, clips)
    assert framed.problems == ()
    sampler = EpisodeSampler(framed.utterances, EpisodeSettings(n_way=3, k_shot=k_shot, n_query=3), seed=0)
    return evaluate_tuned(tunable, framed, sampler, EPISODES)


def test_a_bundle_and_its_checkpoint_agree_on_the_queries_of_the_same_episodes(
    models: dict[str, Path], clips: list[Utterance]
) -> None:
    device, by_torch = (evaluated(models[name], clips) for name in ("bundle", "checkpoint"))
    agreement = np.mean(np.concatenate(device.answers) == np.concatenate(by_torch.answers))
    assert agreement >= 0.995
    assert device.accuracy.mean > 0.4  # of three classes, so they do not agree on nothing
    assert abs(compare(device, by_torch).by_episodes.mean) < 0.01
    assert device.protocol["tune"] == "split"


def test_split_with_one_shot_is_refused(models: dict[str, Path], clips: list[Utterance]) -> None:
    with pytest.raises(SupportError, match="two clips of every class"):
        evaluated(models["bundle"], clips, k_shot=1)
