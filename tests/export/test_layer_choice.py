"""Accuracy by layer and compared with PyTorch, on a synthetic corpus of voices that differ in pitch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from metaser.export.accuracy import accuracy_beside_pytorch
from metaser.export.command import ExportRequest, run_export
from metaser.export.layer_choice import LayerRecorder, chosen_clips, recommended, score_layers
from metaser.runtime.errors import InputError, NotFoundError
from metaser.toolkit.evaluation.embeddings import embed_by
from metaser.toolkit.model.network import ProtoNet, identity_head

LABELS = ("alto", "bass", "soprano", "tenor")
SAMPLES = 4_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("choir")
    rng = np.random.default_rng(0)
    for number, label in enumerate(LABELS):
        for speaker in ("ann", "bob"):
            (root / label / speaker).mkdir(parents=True)
            for take in range(6):
                tone = np.sin(2 * np.pi * (150 + 170 * number + 3 * take) * np.arange(SAMPLES) / 16_000)
                noise = 0.05 * rng.standard_normal(SAMPLES)
                soundfile.write(root / label / speaker / f"{take}.wav", 0.4 * tone + noise, 16_000)
    return root


def test_each_layer_is_scored_as_the_backbone_cut_there(whisper: Any, corpus: Path) -> None:
    done: list[tuple[int, int]] = []
    scores = score_layers(whisper.backbone(3), [corpus], lambda *at: done.append(at))
    assert [score.layers for score in scores] == [1, 2, 3]
    assert done[-1] == (48, 48)
    assert scores[-1].cost == 1
    assert scores[0].cost < scores[1].cost < 1
    assert all(0.25 < score.accuracy <= 1 for score in scores)
    best, cheap = recommended(scores)
    assert cheap.layers <= best.layers
    assert cheap.accuracy >= best.accuracy - 0.01


def test_the_recorder_sees_the_mean_frames_of_every_depth(whisper: Any) -> None:
    clip = np.random.default_rng(0).uniform(-0.3, 0.3, 5_000).astype(np.float32)
    backbone, recorder = whisper.backbone(3), LayerRecorder()
    backbone.layer_sum = recorder
    means = recorder.record(backbone, clip)
    for layers in (1, 2, 3):
        with torch.no_grad():
            frames, _ = whisper.backbone(layers)(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))
        np.testing.assert_allclose(means[layers], frames[0].mean(0), atol=1e-5)


def test_graphs_that_answer_like_pytorch_differ_by_nothing(whisper: Any, corpus: Path) -> None:
    backbone = whisper.backbone(1)
    network = ProtoNet(backbone, identity_head(backbone.width)).eval()
    report = accuracy_beside_pytorch(network, lambda clip: embed_by(network, clip), 2.0, [corpus])
    (line,) = report.values()
    assert line.endswith("minus PyTorch +0.00 [+0.00, +0.00]")
    blind = accuracy_beside_pytorch(network, lambda clip: np.full(32, len(clip), np.float32), 2.0, [corpus])
    (line,) = blind.values()
    assert line.startswith("25.0 ± 0.0")


def test_pick_layers_prints_a_table_and_writes_nothing(whisper: Any, corpus: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    request = ExportRequest(str(whisper.folder), tmp_path / "out", pick_layers=True, corpus=(corpus,))
    run_export(request, lines.append)
    assert [line.split()[0] for line in lines[3:6]] == ["1", "2", "3"]
    assert lines[-1].startswith("best: --layers ")
    assert all(len(line) <= 100 for line in lines[1:])
    assert not (tmp_path / "out").exists()


def test_layers_need_a_corpus_with_clips(whisper: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass --corpus DIR"):
        run_export(ExportRequest(str(whisper.folder), tmp_path / "out", pick_layers=True), print)
    with pytest.raises(NotFoundError):
        chosen_clips(tmp_path / "nowhere")
    with pytest.raises(InputError):
        chosen_clips(tmp_path)


def test_options_of_a_bundle_are_refused_with_pick_layers(tmp_path: Path) -> None:
    request = ExportRequest("model", tmp_path, "int8", window_s=2.0, name="mine", pick_layers=True, corpus=(tmp_path,))
    with pytest.raises(InputError, match="--pick-layers writes no bundle: leave out --int8 and --window and --name"):
        run_export(request, print)
