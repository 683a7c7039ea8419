"""`metaser enroll`."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import numpy as np
import pytest
import soundfile

from metaser.runtime import Profile
from metaser.runtime.bundles.bundle import shipped_folder

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
    assert re.search(r"calm +3 +4\.\d s +3 of 3", result.stdout)
    assert str(profile) in result.stdout
    assert "metaser stream recording.wav" in result.stdout


def test_a_profile_of_a_chosen_name_is_named_in_the_next_step(run: Run, support_folder: Path, tmp_path: Path) -> None:
    result = run("enroll", support_folder, "--profile", tmp_path / "an other.safetensors")
    assert f"metaser classify clip.wav --profile '{tmp_path / 'an other.safetensors'}'" in result.stdout


def test_json_is_one_object_and_the_table_goes_to_stderr(run: Run, support_folder: Path, profile: Path) -> None:
    result = run("enroll", support_folder, "--json")
    answer = json.loads(result.stdout)
    assert answer.pop("elapsed_s") > 0
    assert answer.pop("calibration") == asdict(Profile.load(profile).calibration)
    assert answer.pop("expected") == asdict(Profile.load(profile).reliability)
    assert [clip["name"] for clip in answer.pop("report")["clips"]] == [
        clip.name for clip in Profile.load(profile).clips
    ]
    assert answer == {
        "profile": str(profile),
        "bundle": "tiny",
        "classes": {"calm": 3, "keen": 3},
        "clips": 6,
        "dropped": [],
        "left_out": [],
        "notices": [],
        "tune": None,
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


def test_nothing_to_undo_is_reported(refused: Refused, enrolled: Path) -> None:
    assert "nothing to undo" in refused("enroll", "--undo")
    assert enrolled.is_file()


@pytest.mark.parametrize("words", [(), (".", "--undo")])
def test_support_and_undo_exclude_each_other_and_one_is_needed(refused: Refused, words: tuple[str, ...]) -> None:
    assert "either SUPPORT" in refused("enroll", *words)


@pytest.mark.parametrize(
    "kind", ["unreadable", "empty", "no samples", "silent", "not a number", "clipped", "short", "long"]
)
def test_a_bad_clip_is_refused_and_the_previous_profile_stays(
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
    clip = own_support / "calm" / "0.wav"
    assert refused("enroll", clip) == f"{clip} is a file: give a folder"
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


def test_tune_tunes_the_head_and_says_what_clips_left_out_gain(run: Run, profile: Path) -> None:
    support = shipped_folder() / "demo" / "support"
    result = run("enroll", "--tune", "auto", support, "--bundle", "frozen", "--json")
    answer = json.loads(result.stdout)["tune"]
    assert (answer["kept"], answer["folds"]) == (True, 5)
    assert answer["log_loss_after"] < answer["log_loss_before"]
    assert "Head tuned: log-loss" in result.stderr
    tuned = Profile.load(profile).tuned
    assert tuned is not None
    run("enroll", support, "--bundle", "frozen")
    assert Profile.load(profile).tuned is None


@pytest.mark.parametrize("words", [("--tune", "auto"), ("--tune=auto",), ("--tune=force",)])
def test_a_bundle_that_cannot_be_tuned_says_so_and_nothing_is_written(
    refused: Refused, support_folder: Path, profile: Path, words: tuple[str, ...]
) -> None:
    assert "has no tune.onnx" in refused("enroll", *words, support_folder)
    assert not profile.exists()


def test_force_keeps_the_head_with_one_clip_in_a_class(
    run: Run, refused: Refused, own_support: Path, profile: Path
) -> None:
    for clip in (own_support / "keen").iterdir():
        if clip.name != "0.wav":
            clip.unlink()
    words = ("enroll", own_support, "--bundle", "frozen")
    assert "a class has a single clip" in refused(*words, "--tune", "auto")
    assert not profile.exists()
    assert "Head tuned, without a check" in run(*words, "--tune=force").stdout
    tuned = Profile.load(profile).tuned
    assert tuned is not None
    assert tuned.guard is None


def test_clips_are_added_and_removed_and_the_order_does_not_matter(run: Run, own_support: Path, profile: Path) -> None:
    more = own_support.parent / "more"
    (more / "calm").mkdir(parents=True)
    run("enroll", own_support)
    at_once = Profile.load(profile)
    (own_support / "calm" / "2.wav").rename(more / "calm" / "2.wav")
    run("enroll", own_support)
    assert len(Profile.load(profile).clips) == 5
    result = run("enroll", "--add", more)
    assert result.returncode == 0
    assert "metaser enroll --undo" in result.stdout
    assert Profile.load(profile).prototypes.tobytes() == at_once.prototypes.tobytes()
    run("enroll", "--remove", "calm/2.wav")
    assert [clip.title for clip in Profile.load(profile).clips if clip.label == "calm"] != []
    assert len(Profile.load(profile).clips) == 5
    run("enroll", "--undo")
    assert Profile.load(profile).prototypes.tobytes() == at_once.prototypes.tobytes()


def test_a_removed_class_is_nowhere_in_the_file(run: Run, own_support: Path, profile: Path) -> None:
    shutil.copytree(own_support / "calm", own_support / "serene")
    for clip in (own_support / "serene").iterdir():
        samples, rate_hz = soundfile.read(clip)
        soundfile.write(clip, samples[::-1], rate_hz)
    run("enroll", own_support)
    assert b"serene" in profile.read_bytes()
    assert run("enroll", "--remove", "serene").returncode == 0
    assert Profile.load(profile).labels == ("calm", "keen")
    assert b"serene" not in profile.read_bytes()
    assert len(list(profile.parent.iterdir())) == 2  # it and the undo copy


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--remove", "rage"), "no class or clip rage is enrolled: there are calm, keen"),
        (("--remove", "calm/9.wav"), "no class or clip calm/9.wav is enrolled: there are calm/"),
        (("--remove", "calm"), "at least two classes are needed"),
        (("--add", "nowhere"), "no such folder: nowhere"),
        (("--add", ".", "--remove", "calm"), "either SUPPORT"),
        (("--undo", "--tune=auto"), "give --tune afterwards"),
        (("--undo", "--report", "--plot", "map.png"), "give --report and --plot afterwards"),
        (("--undo", "--drop-bad"), "--drop-bad is for SUPPORT or --add"),
    ],
)
def test_changes_that_cannot_be_made_are_refused_and_the_profile_stays(
    refused: Refused, profile: Path, words: tuple[str, ...], message: str
) -> None:
    before = profile.read_bytes()
    assert message in refused("enroll", *words)
    assert profile.read_bytes() == before


def test_adding_needs_a_profile_and_a_clip_of_one_class(refused: Refused, own_support: Path, run: Run) -> None:
    assert "no profile at" in refused("enroll", "--add", own_support)
    run("enroll", own_support)
    (own_support / "keen" / "0.wav").rename(own_support / "calm" / "from keen.wav")
    assert "calm/from keen.wav is already enrolled as keen/0.wav" in refused("enroll", "--add", own_support)


def test_bad_clips_are_named_and_left_out_only_when_asked(
    run: Run, refused: Refused, tmp_path: Path, profile: Path
) -> None:
    support = Path(shutil.copytree(shipped_folder() / "demo" / "support", tmp_path / "support"))
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(support / "joy" / "noise.wav", noise, 16_000)
    (support / "anger" / "broken.wav").write_bytes(b"no audio at all")
    assert "anger/broken.wav" in refused("enroll", support)
    result = run("enroll", support, "--drop-bad", "--json")
    assert result.returncode == 0
    dropped = json.loads(result.stdout)["dropped"]
    assert dropped[0].startswith("Left out: anger/broken.wav cannot be read as audio")
    assert dropped[1:] == ["Left out: joy/noise.wav: no speech found"]
    assert "Left out: joy/noise.wav: no speech found" in result.stderr
    assert len(Profile.load(profile).clips) == 20
    (support / "anger" / "broken.wav").unlink()
    result = run("enroll", support)
    assert "- joy/noise.wav: no speech found; record it again" in result.stdout
    assert len(Profile.load(profile).clips) == 21


def test_a_class_of_bad_clips_alone_is_refused(refused: Refused, own_support: Path) -> None:
    for clip in (own_support / "keen").iterdir():
        clip.write_bytes(b"no audio at all")
    assert "every clip of keen is bad (keen/0.wav cannot be read" in refused("enroll", own_support, "--drop-bad")


def test_a_class_of_bad_clips_alone_can_be_left_out_if_two_others_stay(refused: Refused, tmp_path: Path) -> None:
    support = Path(shutil.copytree(shipped_folder() / "demo" / "support", tmp_path / "support"))
    (support / "odd").mkdir()
    (support / "odd" / "0.wav").write_bytes(b"no audio at all")
    said = refused("enroll", support, "--drop-bad")
    assert said.endswith("record others or move its folder away, to leave the class out")
    for label in ("anger", "joy", "neutral"):
        shutil.rmtree(support / label)
    assert refused("enroll", support, "--drop-bad").endswith("record others")


def test_classes_one_level_deeper_are_refused_with_the_commands_for_them(
    run: Run, refused: Refused, own_support: Path, tmp_path: Path, profile: Path
) -> None:
    nest = tmp_path / "nest"
    for session, number in (("one", 0), ("two", 1)):
        for label in ("calm", "keen"):
            (nest / session / label).mkdir(parents=True)
            shutil.copy(own_support / label / f"{number}.wav", nest / session / label)
    commands = f"`metaser enroll {nest / 'one'}`, then `metaser enroll --add {nest / 'two'}`"
    assert commands in refused("enroll", nest)
    assert not profile.exists()
    assert run("enroll", nest / "one").returncode == 0
    assert run("enroll", "--add", nest / "two").returncode == 0
    assert f"`metaser test {nest / 'one'}`" in refused("test", nest)
    assert (Profile.load(profile).labels, len(Profile.load(profile).clips)) == (("calm", "keen"), 4)
    assert run("enroll", nest, "--groups").returncode == 0
    assert Profile.load(profile).labels == ("one", "two")
    assert "--groups is for SUPPORT or --add" in refused("enroll", "--report", "--groups")


def test_a_report_changes_neither_profile_nor_undo(run: Run, own_support: Path, profile: Path) -> None:
    run("enroll", own_support)
    run("enroll", "--remove", "keen/1.wav")
    before = {path.name: path.read_bytes() for path in profile.parent.iterdir()}
    result = run("enroll", "--report")
    assert "--undo" not in result.stdout
    assert {path.name: path.read_bytes() for path in profile.parent.iterdir()} == before


@pytest.mark.usefixtures("enrolled")
def test_the_report_tells_about_every_clip_without_the_clips(run: Run, profile: Path) -> None:
    before = profile.read_bytes()
    result = run("enroll", "--report")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if ".wav " in line and "/" in line.split()[0]] == [
        f"{label}/{number}.wav" for label in ("calm", "keen") for number in range(3)
    ]
    assert max(map(len, (line for line in lines if str(profile) not in line))) <= 80
    assert profile.read_bytes() == before


@pytest.mark.usefixtures("enrolled")
def test_the_path_of_a_clip_is_refused_with_its_name(run: Run, refused: Refused, own_support: Path) -> None:
    run("enroll", own_support)
    assert "did you mean calm/1.wav?" in refused("enroll", "--remove", own_support / "calm" / "1.wav")


@pytest.mark.usefixtures("enrolled")
def test_a_map_is_drawn_as_png(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run("enroll", "--plot", tmp_path / "map.png")
    assert f"Map of the clips: {tmp_path / 'map.png'}" in result.stdout
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_tuned_head_goes_with_its_clips_unless_it_is_tuned_again(run: Run, tmp_path: Path, profile: Path) -> None:
    support = Path(shutil.copytree(shipped_folder() / "demo" / "support", tmp_path / "support"))
    clip = min((support / "joy").iterdir())
    words = ("--bundle", "frozen")
    run("enroll", support, "--tune", "auto", *words)
    assert Profile.load(profile).tuned is not None
    result = run("enroll", "--remove", f"joy/{clip.name}", *words)
    assert "This change dropped the tuned head; to tune again: metaser enroll --tune auto" in result.stdout
    assert Profile.load(profile).tuned is None
    assert "Head tuned" in run("enroll", "--tune", "auto", *words).stdout
    result = run("enroll", "--add", support, "--tune", "auto", *words)
    assert "Head tuned" in result.stdout
    assert "dropped" not in result.stdout
    tuned = Profile.load(profile)
    assert tuned.tuned is not None
    assert len(tuned.clips) == 20


def test_adding_what_is_enrolled_says_that_nothing_is_new(run: Run, own_support: Path, profile: Path) -> None:
    run("enroll", own_support)
    before = profile.read_bytes()
    assert "Nothing is new: 6 clips are all enrolled already" in run("enroll", "--add", own_support).stdout
    assert profile.read_bytes() == before


def test_a_misspelt_class_is_named_when_it_is_added(run: Run, own_support: Path, tmp_path: Path) -> None:
    (tmp_path / "more" / "kean").mkdir(parents=True)
    (own_support / "keen" / "2.wav").rename(tmp_path / "more" / "kean" / "2.wav")
    run("enroll", own_support)
    result = run("enroll", "--add", tmp_path / "more")
    assert "The labels kean and keen have nearly the same name and stay 2 classes: rename one" in result.stdout


def test_all_clips_that_cannot_be_used_are_listed(run: Run, own_support: Path, profile: Path) -> None:
    for number in range(3):
        (own_support / "keen" / f"{number}.wav").write_text(f"no audio at all, {number}")
    result = run("enroll", own_support)
    lines = result.stderr.splitlines()
    assert (result.returncode, result.stdout, len(lines)) == (2, "", 4)
    assert sorted(line.partition(" cannot")[0] for line in lines[:3]) == [
        f"metaser: keen/{number}.wav" for number in range(3)
    ]
    assert lines[3] == ("metaser: 3 of 6 clips cannot be used: replace them, or leave them out with --drop-bad")
    assert not profile.exists()


def test_classes_two_levels_deeper_are_refused_with_the_folder_that_holds_them(
    run: Run, refused: Refused, own_support: Path, tmp_path: Path, profile: Path
) -> None:
    (tmp_path / "nest" / "wrapper").mkdir(parents=True)
    own_support.rename(tmp_path / "nest" / "wrapper" / "support")
    holds = tmp_path / "nest" / "wrapper" / "support"
    said = refused("enroll", tmp_path / "nest")
    assert said.startswith(f"wrapper in {tmp_path / 'nest'} only holds folders of clips (calm, keen)")
    assert f"If those are the classes: `metaser enroll {holds}`." in said
    assert run("enroll", holds).returncode == 0
    assert Profile.load(profile).labels == ("calm", "keen")


@pytest.mark.parametrize(
    "words",
    [
        ("enroll", "--remove", "calm", "--remove", "keen"),
        ("calibrate", "--others", "a", "--others", "b"),
        ("classify", "clip.wav", "--threads", "1", "--threads", "2"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.returncode == 2
    assert f"{words[-2]} is given 2 times: give it once." in " ".join(result.stderr.split())


def test_a_new_enrolment_keeps_the_bundle_and_names_what_it_drops(
    run: Run, settings: dict[str, str], own_support: Path, profile: Path
) -> None:
    assert run("enroll", own_support).returncode == 0
    assert run("calibrate", "--false-accepts", "0.3").returncode == 0
    again = run("enroll", own_support).stdout
    assert (
        "The limit of 30 % false accepts was dropped; to set it again: metaser calibrate --false-accepts 0.3" in again
    )
    settings["METASER_BUNDLE"] = ""
    assert "was made with the bundle tiny, this one with open." in run("enroll", own_support, "--bundle", "open").stdout
    assert "this one with" not in run("enroll", own_support).stdout
    assert Profile.load(profile).bundle_name == "open"
    assert json.loads(run("info", "--json").stdout)["bundle"]["name"] == "open"


def test_adding_nothing_new_keeps_the_way_back_to_the_change_before(
    run: Run, own_support: Path, profile: Path, tmp_path: Path
) -> None:
    shutil.copytree(own_support / "calm", own_support / "third")
    for number, clip in enumerate(sorted((own_support / "third").iterdir())):
        samples, rate_hz = soundfile.read(clip)
        soundfile.write(clip, samples[::-1] * (1 - number / 10), rate_hz)
    assert run("enroll", own_support).returncode == 0
    assert run("enroll", "--remove", "third").returncode == 0
    shutil.copytree(own_support / "calm", tmp_path / "again" / "calm")
    assert "Nothing is new" in run("enroll", "--add", tmp_path / "again").stdout
    assert run("enroll", "--undo").returncode == 0
    assert "third" in Profile.load(profile).labels
