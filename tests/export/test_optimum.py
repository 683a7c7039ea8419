"""`optimum-cli export metaser`, and `encoder.onnx` in ordinary ONNX tools."""

import os
import subprocess
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from typer.main import get_command

from metaser.cli.main import app
from metaser.runtime import Engine, open_bundle

START = "from optimum.commands.optimum_cli import main; main()"  # what the script optimum-cli holds


def optimum_cli(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, *map(str, words)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bundle(whisper: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("optimum")
    words = ["export", "metaser", whisper.folder, "out", "--layers", "1", "--licence", "MIT"]
    done = optimum_cli(*words, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "metaser enroll support/ --bundle out" in done.stdout
    return folder / "out"


def test_optimum_exports_the_bundle_that_metaser_exports(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert (manifest.precision, manifest.backbone.layers, manifest.licence) == ("fp32", 1, "MIT")
    assert Engine.open(bundle, provider="cpu").verify().passed


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["./nowhere", "out"], 2, "no folder ./nowhere"),
        (["made/up", "out"], 1, "cannot reach the model hub for 'made/up'"),
        (["./nowhere", "out", "--window", "3"], 2, "--window is for --tensorrt"),
    ],
)
def test_an_error_is_one_line_and_keeps_its_exit_code(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    done = optimum_cli("export", "metaser", *words, folder=tmp_path)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("metaser: ")
    assert message in line


def test_optimum_lists_the_command_without_loading_torch(tmp_path: Path) -> None:
    words = [sys.executable, "-X", "importtime", "-c", START, "export", "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "metaser" in done.stdout
    assert not any(line.endswith("| torch") for line in done.stderr.splitlines())


def test_both_commands_offer_the_same_options() -> None:
    command = import_module("optimum.commands.register.register_metaser").MetaserExportCommand
    parser = ArgumentParser()
    command.parse_args(parser)
    of_optimum = {option for action in parser._actions for option in action.option_strings or [action.dest]}
    export = get_command(app).commands["export"]  # type: ignore[attr-defined]  # a group
    of_metaser = {option for parameter in export.params for option in (parameter.opts or [parameter.name])}
    assert of_optimum - {"-h", "--help"} == of_metaser


def test_ordinary_onnx_tools_load_the_encoder_under_the_usual_names(bundle: Path) -> None:
    onnx.checker.check_model(bundle / "encoder.onnx", full_check=True)
    model = onnx.load(bundle / "encoder.onnx")
    assert {opset.domain for opset in model.opset_import} == {""}
    session = onnxruntime.InferenceSession(bundle / "encoder.onnx")
    assert [value.name for value in session.get_inputs()] == ["input_values", "input_lengths"]
    clip = np.zeros((1, 16_000), np.float32)
    frames, lengths = session.run(None, {"input_values": clip, "input_lengths": np.array([16_000])})
    assert [value.name for value in session.get_outputs()] == ["last_hidden_state", "frame_lengths"]
    assert frames.shape == (1, 50, 32)
    assert lengths.tolist() == [50]
