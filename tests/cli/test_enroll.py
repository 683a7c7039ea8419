"""`metaser enroll`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import numpy as np
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


@pytest.fixture
def demo_support(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_folder() / "demo" / "support", tmp_path / "demo"))


def test_a_support_set_becomes_a_profile_and_the_next_step_is_named(
    run: Run, support_folder: Path, profile: Path
) -> None:
    result = run("enroll", support_folder)
    assert result.returncode == 0
    assert Profile.load(profile).labels == ("calm", "keen")
    assert "calm       3   4.5 s" in result.stdout
    assert str(profile) in result.stdout
    assert "metaser stream recording.wav" in result.stdout


def test_a_profile_of_a_chosen_name_is_named_in_the_next_step(run: Run, support_folder: Path, tmp_path: Path) -> None:
    result = run("enroll", support_folder, "--profile", tmp_path / "an other.safetensors")
    assert f"metaser classify clip.wav --profile '{tmp_path / 'an other.safetensors'}'" in result.stdout


def test_json_is_one_object_and_the_table_goes_to_stderr(run: Run, support_folder: Path, profile: Path) -> None:
    result = run("enroll", support_folder, "--json")
    answer = json.loads(result.stdout)
    assert answer.pop("elapsed_s") > 0
    assert [clip["label"] for clip in answer.pop("report")["clips"]] == ["calm"] * 3 + ["keen"] * 3
    assert answer.pop("calibration")["temperature"] > 0
    assert 0 <= answer.pop("expected")["false_rejects"] < 1
    assert answer == {
        "profile": str(profile),
        "bundle": "tiny",
        "classes": {"calm": 3, "keen": 3},
        "clips": 6,
        "adapt": None,
        "dropped": [],
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


def test_clips_are_added_and_removed_and_the_rest_stays_as_it_was(
    run: Run, own_support: Path, profile: Path, tmp_path: Path
) -> None:
    whole = run("enroll", own_support)
    assert whole.returncode == 0
    prototypes = Profile.load(profile).prototypes.tobytes()
    late = tmp_path / "late" / "calm"
    late.mkdir(parents=True)
    shutil.move(own_support / "calm" / "1.wav", late / "1.wav")
    assert run("enroll", own_support).returncode == 0
    assert Profile.load(profile).prototypes.tobytes() != prototypes
    assert run("enroll", "--add", tmp_path / "late").returncode == 0
    assert Profile.load(profile).prototypes.tobytes() == prototypes
    assert run("enroll", "--remove", "calm/1.wav").returncode == 0
    assert [clip.title for clip in Profile.load(profile).clips if clip.label == "calm"] == ["calm/0.wav", "calm/2.wav"]
    assert run("enroll", "--undo").returncode == 0
    assert Profile.load(profile).prototypes.tobytes() == prototypes


def test_nothing_of_a_removed_clip_stays_but_in_the_undo_copy(run: Run, own_support: Path, profile: Path) -> None:
    (own_support / "keen" / "1.wav").rename(own_support / "keen" / "private.wav")
    run("enroll", own_support)
    gone = next(clip for clip in Profile.load(profile).clips if clip.name == "private.wav")
    row = Profile.load(profile).embeddings[Profile.load(profile).clips.index(gone)].tobytes()
    run("enroll", "--remove", "keen/private.wav")
    content, copy = profile.read_bytes(), profile.with_name(profile.name + ".undo").read_bytes()
    for trace in (b"private.wav", gone.sha256.encode(), row):
        assert trace not in content
        assert trace in copy
    run("forget", "--yes")
    assert list(profile.parent.iterdir()) == []


def test_a_change_drops_the_tuned_head_and_says_so(run: Run, demo_support: Path, profile: Path) -> None:
    frozen = ("--bundle", "frozen")
    assert run("enroll", demo_support, "--adapt=force", *frozen).returncode == 0
    assert Profile.load(profile).tuned is not None
    result = run("enroll", "--remove", "joy/en-f2.flac", *frozen)
    assert "The tuned head was of the clips before and is dropped" in result.stdout
    assert Profile.load(profile).tuned is None
    again = run("enroll", "--add", demo_support, "--adapt=force", *frozen)
    assert "dropped" not in again.stdout
    assert Profile.load(profile).tuned is not None


def test_bad_clips_are_named_and_left_out_only_when_asked(
    run: Run, refused: Refused, demo_support: Path, profile: Path
) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(demo_support / "joy" / "hiss.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    (demo_support / "joy" / "notes.wav").write_text("no audio")
    assert "joy/notes.wav cannot be read as audio" in refused("enroll", demo_support, "--bundle", "frozen")
    assert not profile.exists()
    result = run("enroll", demo_support, "--drop-bad", "--bundle", "frozen")
    assert result.returncode == 0
    assert "Left out: joy/hiss.wav: no speech found" in result.stdout
    assert "Left out: joy/notes.wav cannot be read as audio" in result.stdout
    assert len(Profile.load(profile).clips) == 20


def test_a_class_of_bad_clips_alone_is_an_error(refused: Refused, demo_support: Path) -> None:
    for clip in (demo_support / "joy").iterdir():
        clip.write_text("no audio")
    line = refused("enroll", demo_support, "--drop-bad", "--bundle", "frozen")
    assert line.startswith("every clip of joy is bad (joy/")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--remove", "joy"), "no clip joy is enrolled"),
        (("--remove", "calm/9.wav"), "no clip calm/9.wav is enrolled: there are calm/"),
        (("--remove", "calm"), "at least two classes are needed"),
        (("--add", "nowhere"), "no such folder: nowhere"),
        (("--drop-bad",), "give either SUPPORT"),
        (("--undo", "--drop-bad"), "--drop-bad goes with SUPPORT or --add"),
    ],
)
def test_changes_that_cannot_be_made_leave_the_profile(
    refused: Refused, enrolled: Path, words: tuple[str, ...], message: str
) -> None:
    before = enrolled.read_bytes()
    assert message in refused("enroll", *words)
    assert enrolled.read_bytes() == before


def test_a_recording_in_another_class_is_refused(refused: Refused, enrolled: Path, support_folder: Path) -> None:
    other = enrolled.parent / "more"
    (other / "keen").mkdir(parents=True)
    shutil.copy(support_folder / "calm" / "0.wav", other / "keen" / "copy.wav")
    assert "keen/copy.wav is enrolled as calm/0.wav: remove it there first" in refused("enroll", "--add", other)


def test_the_report_fits_80_columns_and_the_map_is_a_picture(run: Run, enrolled: Path, tmp_path: Path) -> None:
    result = run("enroll", "--report", "--plot", tmp_path / "map.png")
    assert result.returncode == 0
    assert "calm/0.wav" in result.stdout
    assert "recognised" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if str(enrolled) not in line)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
