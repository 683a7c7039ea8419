"""`metaser enroll`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest
import soundfile

from metaser.runtime import Profile
from metaser.runtime.bundle import shipped_folder

Run: TypeAlias = Callable[..., CompletedProcess[str]]
BadClip: TypeAlias = Callable[[str], tuple[Path, str]]
Refused: TypeAlias = Callable[..., str]


@pytest.fixture
def own_support(support_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "support"
    shutil.copytree(support_folder, folder)
    return folder


def test_a_support_set_becomes_a_profile_and_the_next_step_is_named(
    run: Run, support_folder: Path, profile: Path
) -> None:
    result = run("enroll", support_folder)
    assert result.returncode == 0
    assert Profile.load(profile).labels == ("calm", "keen")
    assert "calm       3      4.5" in result.stdout
    assert str(profile) in result.stdout
    assert "metaser stream recording.wav" in result.stdout


def test_a_profile_of_a_chosen_name_is_named_in_the_next_step(run: Run, support_folder: Path, tmp_path: Path) -> None:
    result = run("enroll", support_folder, "--profile", tmp_path / "an other.safetensors")
    assert f"metaser classify clip.wav --profile '{tmp_path / 'an other.safetensors'}'" in result.stdout


def test_json_is_one_object_and_the_table_goes_to_stderr(run: Run, support_folder: Path, profile: Path) -> None:
    result = run("enroll", support_folder, "--json")
    answer = json.loads(result.stdout)
    assert answer.pop("elapsed_s") > 0
    assert answer == {
        "profile": str(profile),
        "bundle": "tiny",
        "classes": {"calm": 3, "keen": 3},
        "clips": 6,
        "adapt": None,
    }
    assert "metaser classify clip.wav" in result.stderr


def test_undo_puts_back_the_profile_before(run: Run, own_support: Path, profile: Path) -> None:
    run("enroll", own_support)
    before = profile.read_bytes()
    (own_support / "keen" / "0.wav").unlink()
    assert "metaser enroll --undo" in run("enroll", own_support).stdout
    assert profile.read_bytes() != before
    result = run("enroll", "--undo", "--json")
    assert json.loads(result.stdout)["classes"] == {"calm": 3, "keen": 3}
    assert profile.read_bytes() == before


def test_nothing_to_undo_is_said(refused: Refused, enrolled: Path) -> None:
    assert "nothing to undo" in refused("enroll", "--undo")
    assert enrolled.is_file()


@pytest.mark.parametrize("words", [(), (".", "--undo")])
def test_support_and_undo_exclude_each_other_and_one_is_needed(refused: Refused, words: tuple[str, ...]) -> None:
    assert "either SUPPORT" in refused("enroll", *words)


@pytest.mark.parametrize(
    "kind", ["unreadable", "empty", "no samples", "silent", "not a number", "clipped", "short", "long"]
)
def test_a_bad_clip_is_refused_and_the_profile_of_before_stays(
    refused: Refused, own_support: Path, bad_clip: BadClip, enrolled: Path, kind: str
) -> None:
    before = enrolled.read_bytes()
    path, words = bad_clip(kind)
    shutil.copy(path, own_support / "keen")
    line = refused("enroll", own_support)
    assert words in line
    assert "bad.wav" in line
    assert list(enrolled.parent.iterdir()) == [enrolled]
    assert enrolled.read_bytes() == before


def test_a_bad_clip_is_refused_and_nothing_is_written(
    refused: Refused, own_support: Path, bad_clip: BadClip, profile: Path
) -> None:
    shutil.copy(bad_clip("silent")[0], own_support / "keen")
    assert "bad.wav is silent" in refused("enroll", own_support)
    assert not profile.parent.exists()


def test_a_support_set_that_is_none_is_refused(refused: Refused, own_support: Path, profile: Path) -> None:
    assert "no such folder" in refused("enroll", own_support / "absent")
    (own_support / "sad").mkdir()
    assert "class sad has no audio files" in refused("enroll", own_support)
    shutil.rmtree(own_support / "sad")
    shutil.rmtree(own_support / "calm")
    assert "one class (keen)" in refused("enroll", own_support)
    shutil.rmtree(own_support / "keen")
    assert "no classes" in refused("enroll", own_support)
    assert not profile.parent.exists()


def test_a_bad_bundle_is_refused_and_nothing_is_written(
    refused: Refused, support_folder: Path, bad_bundle: tuple[Path, str], profile: Path
) -> None:
    folder, words = bad_bundle
    assert words in refused("enroll", support_folder, "--bundle", folder)
    assert not profile.parent.exists()


def test_labels_are_shown_as_they_are_and_move_no_cursor(run: Run, own_support: Path) -> None:
    (own_support / "keen").rename(own_support / "[red]\x1b[2J\nkeen")
    result = run("enroll", own_support)
    assert r"[red]\x1b[2J\nkeen" in result.stdout
    assert "\x1b[2J" not in result.stdout


def test_a_folder_that_cannot_be_written_is_named_in_one_line(run: Run, support_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("enroll", support_folder, "--profile", tmp_path / "file" / "profile.safetensors")
    assert result.returncode == 1
    assert result.stderr.startswith("metaser: cannot write ")
    assert result.stderr.count("\n") == 1


def test_clips_of_any_rate_and_channel_count_are_enrolled(run: Run, own_support: Path) -> None:
    samples, rate_hz = soundfile.read(own_support / "calm" / "0.wav")
    soundfile.write(own_support / "calm" / "0.wav", [[sample, 0.0] for sample in samples], rate_hz // 2)
    assert run("enroll", own_support).returncode == 0


def test_adapt_tunes_the_head_and_says_what_clips_left_out_gain(run: Run, profile: Path) -> None:
    support = shipped_folder() / "demo" / "support"
    result = run("enroll", "--adapt", support, "--bundle", "frozen", "--json")
    answer = json.loads(result.stdout)["adapt"]
    assert (answer["kept"], answer["folds"]) == (True, 5)
    assert answer["log_loss_after"] < answer["log_loss_before"]
    assert "Head tuned: log-loss" in result.stderr
    tuned = Profile.load(profile).tuned
    assert tuned is not None
    run("enroll", support, "--bundle", "frozen")
    assert Profile.load(profile).tuned is None


@pytest.mark.parametrize("words", [("--adapt",), ("--adapt=auto",), ("--adapt=force",)])
def test_a_bundle_that_cannot_be_tuned_says_so_and_nothing_is_written(
    refused: Refused, support_folder: Path, profile: Path, words: tuple[str, ...]
) -> None:
    assert "has no adapt.onnx" in refused("enroll", *words, support_folder)
    assert not profile.exists()


def test_force_keeps_the_head_with_one_clip_in_a_class(
    run: Run, refused: Refused, own_support: Path, profile: Path
) -> None:
    for clip in (own_support / "keen").iterdir():
        if clip.name != "0.wav":
            clip.unlink()
    words = ("enroll", own_support, "--bundle", "frozen")
    assert "a class has a single clip" in refused(*words, "--adapt")
    assert not profile.exists()
    assert "Head tuned, without a check" in run(*words, "--adapt=force").stdout
    tuned = Profile.load(profile).tuned
    assert tuned is not None
    assert tuned.guard is None
