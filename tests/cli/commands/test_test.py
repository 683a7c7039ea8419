"""`metaser test`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]

pytestmark = pytest.mark.usefixtures("enrolled")


@pytest.fixture
def new_clips(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """Two new clips of each class, and one in the wrong folder."""
    folder = tmp_path / "new"
    for label, name, sound, seed in (
        ("calm", "0", "calm", 20),
        ("calm", "1", "calm", 21),
        ("keen", "0", "keen", 22),
        ("keen", "1", "keen", 23),
        ("keen", "wrong", "calm", 24),
    ):
        (folder / label).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / label / f"{name}.wav", make_clip(sound, 1.25, seed), 16_000)
    return folder


def test_the_labels_are_compared_with_the_folders(run: Run, new_clips: Path) -> None:
    result = run("test", new_clips, "--json", "--unknown", "off")
    assert result.returncode == 0
    answer = json.loads(result.stdout)
    assert (answer["clips"], answer["correct"], answer["unknown"]) == (5, 4, 0)
    assert (answer["labels"], answer["confusion"]) == (["calm", "keen"], [[2, 0, 0], [1, 2, 0]])
    assert answer["labelled_accuracy"] == pytest.approx(0.8)
    (wrong,) = (file for file in answer["files"] if not file["correct"])
    assert (wrong["file"], wrong["class"], wrong["label"]) == (str(new_clips / "keen" / "wrong.wav"), "keen", "calm")
    assert f"- {wrong['file']}: calm" in result.stderr
    assert "4 of 5 clips correct" in result.stderr


def test_clips_of_other_classes_are_counted_apart(run: Run, new_clips: Path) -> None:
    (new_clips / "calm").rename(new_clips / "odd")
    answer = json.loads(run("test", new_clips, "--json", "--unknown", "off").stdout)
    assert (answer["clips"], answer["foreign"], answer["foreign_labelled"]) == (3, 2, 2)


def test_enrolled_clips_are_not_counted_because_they_are_easy(
    run: Run, refused: Refused, new_clips: Path, support_folder: Path
) -> None:
    shutil.copy(support_folder / "calm" / "0.wav", new_clips / "calm" / "enrolled.wav")
    answer = json.loads(run("test", new_clips, "--json").stdout)
    assert (answer["clips"], answer["enrolled"]) == (5, 1)
    assert "all clips are enrolled" in refused("test", support_folder)


def test_a_misspelt_class_is_named(run: Run, new_clips: Path) -> None:
    (new_clips / "calm").rename(new_clips / "Kalm")
    assert "Kalm is not an enrolled class; did you mean calm?" in run("test", new_clips).stdout


def test_folders_of_no_enrolled_class_are_refused(refused: Refused, new_clips: Path) -> None:
    (new_clips / "calm").rename(new_clips / "Kalm")
    (new_clips / "keen").rename(new_clips / "sad")
    said = refused("test", new_clips, "--json")
    assert said.startswith("no class is enrolled: Kalm is not an enrolled class; did you mean calm?, sad is not an")
    assert said.endswith("Name the folders as the enrolled classes: calm, keen")


def test_no_interval_is_printed_for_no_clips(run: Run, new_clips: Path, support_folder: Path) -> None:
    (new_clips / "calm").rename(new_clips / "odd")
    shutil.rmtree(new_clips / "keen")
    shutil.copytree(support_folder / "keen", new_clips / "keen")
    answer = json.loads(run("test", new_clips, "--json").stdout)
    assert (answer["clips"], answer["foreign"], answer["enrolled"]) == (0, 2, 3)
    assert (answer["low"], answer["high"]) == (None, None)


def test_a_bad_clip_is_reported_and_the_others_are_tested(run: Run, new_clips: Path) -> None:
    soundfile.write(new_clips / "calm" / "silent.wav", np.zeros(16_000), 16_000)
    result = run("test", new_clips, "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout)["clips"] == 5
    assert "calm/silent.wav" in result.stderr


def test_the_confusion_matrix_is_drawn(run: Run, new_clips: Path, tmp_path: Path) -> None:
    result = run("test", new_clips, "--plot", tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert f"Confusion matrix: {tmp_path / 'drawn.png'}" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent"], "no such folder: absent"),
        (["{clip}"], "is a file: give a folder"),
        (["{empty}"], "put clips in"),
        (["{new}", "--plot", "map.jpg"], "map.jpg is not a .png file"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    refused: Refused, new_clips: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"clip": new_clips / "calm" / "0.wav", "empty": tmp_path / "empty", "new": new_clips}
    assert said in refused("test", *(word.format(**places) for word in words))
