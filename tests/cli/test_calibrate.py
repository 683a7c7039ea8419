"""`metaser calibrate`, and `--unknown` where it shows."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import numpy as np
import pytest
import soundfile

from metaser.runtime import Profile

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]


def test_without_an_option_the_choices_are_shown_and_nothing_changes(run: Run, enrolled: Path) -> None:
    before = enrolled.read_bytes()
    result = run("calibrate")
    assert result.returncode == 0
    assert "*  --reset" in result.stdout
    assert "--false-accepts 0.05" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert enrolled.read_bytes() == before


def test_a_wanted_rate_is_stored_and_survives_more_clips(run: Run, enrolled: Path, support_folder: Path) -> None:
    answer = json.loads(run("calibrate", "--false-accepts", "0.1", "--json").stdout)
    assert answer["expected"]["wanted_false_accepts"] == 0.1
    assert answer["calibration"]["min_cosine"] > -1
    assert run("enroll", "--add", support_folder).returncode == 0
    assert Profile.load(enrolled).reliability.wanted_false_accepts == 0.1
    run("calibrate", "--reset")
    assert Profile.load(enrolled).calibration.min_cosine == -1
    run("enroll", "--undo")
    assert Profile.load(enrolled).calibration.min_cosine > -1


@pytest.mark.usefixtures("enrolled")
def test_other_sounds_are_told_apart_from_then_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        hiss = 0.2 * rng.standard_normal(24_000)
        soundfile.write(tmp_path / "others" / f"{index}.wav", hiss, 16_000)
    answer = json.loads(run("calibrate", "--others", tmp_path / "others", "--json").stdout)
    assert answer["others"] == 4
    assert answer["expected"]["others_accepted"] == 0
    soundfile.write(tmp_path / "new.wav", 0.2 * rng.standard_normal(24_000), 16_000)
    assert json.loads(run("classify", tmp_path / "new.wav", "--json").stdout)["label"] is None
    assert json.loads(run("classify", tmp_path / "new.wav", "--unknown", "off", "--json").stdout)["label"] is not None


@pytest.mark.usefixtures("enrolled")
def test_bad_wishes_are_one_line(refused: Refused, support_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "give one between 0 and 1" in refused("calibrate", "--false-accepts", "5")
    assert "no such folder" in refused("calibrate", "--others", "nowhere")
    assert "has no audio files" in refused("calibrate", "--others", tmp_path / "empty")
    assert "is enrolled as calm/" in refused("calibrate", "--others", support_folder / "calm")
    assert "give it alone" in refused("calibrate", "--reset", "--false-accepts", "0.1")
