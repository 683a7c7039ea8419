"""`metaser export` on the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from metaser.export.command import ExportRequest, read_calibration, run_export
from metaser.export.golden import voiced_waveform
from metaser.export.source import DEFAULT_MODEL, default_model, open_source
from metaser.runtime import Calibration, InputError, NotFoundError, open_bundle
from metaser.toolkit.model.checkpoint import CheckpointMetadata, save_checkpoint
from metaser.toolkit.model.network import ProtoNet, make_head


def metaser(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metaser.cli", *map(str, words)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_folder_becomes_an_int8_bundle_that_enrols(whisper: Any, tmp_path: Path) -> None:
    done = metaser("export", whisper.folder, "out", "--int8", "--layers", "1", "--licence", "MIT", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    manifest = open_bundle(tmp_path / "out").manifest
    assert (manifest.precision, manifest.backbone.layers, manifest.licence) == ("int8", 1, "MIT")
    assert "metaser enroll support/ --bundle out" in done.stdout
    assert metaser("verify", "--bundle", "out", folder=tmp_path).returncode == 0


def test_static_int8_fixes_its_scales_on_the_clips_and_says_how_near_it_is(whisper: Any, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for seed in range(3):
        soundfile.write(tmp_path / "clips" / f"{seed}.wav", voiced_waveform(20_000, seed), 16_000)
    words = (whisper.folder, "out", "--int8", "--static", "--clips", "clips", "--layers", "1", "--licence", "MIT")
    done = metaser("export", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = open_bundle(tmp_path / "out").manifest
    operators = manifest.operators["encoder.onnx"]["operators"]
    assert "DynamicQuantizeLinear" not in operators
    assert operators["QuantizeLinear"] >= 5
    assert manifest.parity["clips"] == 3
    assert 0.99 < manifest.parity["clips_embedding_cosine_min"] < 1
    assert len(manifest.parity["layer_cosines"]) == 1
    assert "--clips clips --static" in (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_fp16_alone_takes_the_newest_checkpoint_and_says_so(wav2vec2: Any, tmp_path: Path) -> None:
    network = ProtoNet(wav2vec2.backbone(1), make_head("mean-fc", 32, 8)).eval()
    for index, name in enumerate(("old", "new")):
        torch.manual_seed(index)
        save_checkpoint(tmp_path / "runs" / name / "best", network, CheckpointMetadata(source=name, licence="MIT"))
        os.utime(tmp_path / "runs" / name / "best" / "checkpoint.json", (index, index))
    done = metaser("export", "--fp16", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "exporting runs/new/best to bundle" in done.stdout
    assert "slower than float32" in done.stdout
    assert open_bundle(tmp_path / "bundle").manifest.precision == "fp16"


def test_fp16_alone_without_checkpoints_means_xlsr_and_names_the_hub(tmp_path: Path) -> None:
    assert default_model(tmp_path / "runs") == DEFAULT_MODEL
    done = metaser("export", "--fp16", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"metaser: cannot reach the model hub for '{DEFAULT_MODEL}'; download the model elsewhere and give the folder"
    ]
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{whisper}", "out", "--layers", "9"], 2, "has 3 layers: choose 1 to 3, not 9"),
        (["{whisper}", "out", "--layers", "0"], 2, "not 0"),
        (["./nowhere", "out"], 2, "no folder ./nowhere"),
        (["{whisper}", "out", "--calibration", "none.json"], 2, "no such file: none.json"),
        (["{empty}", "out"], 2, "no config.json"),
        (["{whisper}", "out", "--int8", "--static"], 2, "pass --int8 and --clips DIR as well"),
        (["{whisper}", "out", "--int8", "--clips", "{empty}"], 2, "holds no audio files"),
        (["{whisper}", "out", "--int8", "--clips", "clips"], 2, "no such folder: clips"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    whisper: Any, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"whisper": whisper.folder, "empty": tmp_path / "empty"}
    done = metaser("export", *(word.format(**places) for word in words), folder=tmp_path)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_calibration_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"calibration": {"temperature": 0.5, "threshold": 0.25}, "accuracy": {"somewhere": "60 ± 2"}}')
    found = read_calibration(path)
    assert (found.calibration, found.accuracy) == (Calibration(0.5, threshold=0.25), {"somewhere": "60 ± 2"})
    assert found.prior is None
    path.write_text('{"calibration": {"temperature": 0.5}, "tuning": {"margin": 0.3}}')
    assert read_calibration(path).tuning == {"margin": 0.3}
    tunings = ('{"calibration": {}, "tuning": {"steps": 0}}', '{"calibration": {}, "tuning": {"speed": 1}}')
    for text in ("", "[]", "{}", '{"calibration": {"heat": 1}}', '{"calibration": {"temperature": "warm"}}', *tunings):
        path.write_text(text)
        with pytest.raises(InputError, match="holds no calibration"):
            read_calibration(path)
    with pytest.raises(NotFoundError):
        read_calibration(tmp_path / "other.json")


def test_the_target_is_checked_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(InputError, match="exists and is not a bundle"):
        run_export(ExportRequest(model="nowhere", out=tmp_path / "thesis"), print)


@pytest.mark.parametrize(
    "calibration", [{"self": 1}, {"temperature": "hot"}, {"temperature": 1e-300}, {"temperature": "nan"}, "warm"]
)
def test_a_checkpoint_whose_calibration_is_damaged_is_refused(
    wav2vec2: Any, tmp_path: Path, calibration: object
) -> None:
    network = ProtoNet(wav2vec2.backbone(1), make_head("mean-fc", 32, 8)).eval()
    save_checkpoint(tmp_path / "model", network, CheckpointMetadata("random", "MIT", calibration={"temperature": 2.0}))
    known = open_source(str(tmp_path / "model"), None, None).calibration
    assert known == Calibration(temperature=2.0)
    description = tmp_path / "model" / "checkpoint.json"
    description.write_text(json.dumps({**json.loads(description.read_text()), "calibration": calibration}))
    with pytest.raises(InputError, match=r"the calibration in .*checkpoint\.json"):
        open_source(str(tmp_path / "model"), None, None)
