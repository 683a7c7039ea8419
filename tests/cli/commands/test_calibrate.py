"""`metaser calibrate`, and its effect on `--unknown`."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime import Profile
from metaser.runtime.enrolment.profile_file import undo_path

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]
RATE_HZ = 16_000


@pytest.fixture
def others(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """Other sounds, in folders: noise, and the two classes at once."""
    folder = tmp_path / "others"
    (folder / "deep").mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE_HZ)
    soundfile.write(folder / "noise.wav", noise, RATE_HZ)
    both = make_clip("calm", 1.5, 5) / 2 + make_clip("keen", 1.5, 6) / 2
    soundfile.write(folder / "deep" / "both.wav", both, RATE_HZ)
    return folder


def test_without_an_option_it_shows_the_choices_and_changes_nothing(run: Run, enrolled: Path) -> None:
    before = enrolled.read_bytes()
    result = run("calibrate")
    assert result.returncode == 0
    rows = [line for line in result.stdout.splitlines() if "--" in line]
    assert [row.split("  ")[0] for row in rows] == ["*", "", "", "", "", ""]
    assert [row.split()[-1] for row in rows] == 6 * ["%"]
    assert enrolled.read_bytes() == before
    assert not undo_path(enrolled).exists()


def test_a_wanted_rate_is_kept_and_marked_and_undo_goes_back(run: Run, enrolled: Path) -> None:
    before = enrolled.read_bytes()
    result = run("calibrate", "--false-accepts", "0.25", "--json")
    answer = json.loads(result.stdout)
    assert answer["expected"]["wanted_false_accepts"] == 0.25
    assert answer["calibration"]["min_cosine"] == Profile.load(enrolled).calibration.min_cosine > -1
    assert any(line.startswith("*") and "--false-accepts 0.25" in line for line in result.stderr.splitlines())
    run("enroll", "--undo")
    assert enrolled.read_bytes() == before


def test_background_clips_become_unknown(run: Run, enrolled: Path, others: Path) -> None:
    words = ("classify", others / "noise.wav", others / "deep" / "both.wav", "--json")
    before = [json.loads(line)["label"] for line in run(*words).stdout.splitlines()]
    assert set(before) - {None}
    result = run("calibrate", "--others", others)
    assert "Background accepts: of your 2 background clips, those that get a label." in result.stdout
    assert "False accepts: speech of other classes than yours that gets a label, estimated." in result.stdout
    current = next(line for line in result.stdout.splitlines() if line.startswith("*"))
    assert current.split()[-2:] == ["0", "%"]  # the last column, of background accepts
    assert {clip.name for clip in Profile.load(enrolled).others} == {"both.wav", "noise.wav"}
    after = [json.loads(line)["label"] for line in run(*words).stdout.splitlines()]
    assert after == [None, None]
    off = [json.loads(line)["label"] for line in run(*words, "--unknown", "off").stdout.splitlines()]
    assert None not in off


@pytest.mark.usefixtures("enrolled")
def test_strict_knows_at_most_what_calibrated_knows(run: Run, support_folder: Path, others: Path) -> None:
    clips = sorted(support_folder.rglob("*.wav"))
    foreign = others / "noise.wav"
    known = {}
    for unknown in ("off", "calibrated", "strict"):
        lines = run("classify", *clips, foreign, "--unknown", unknown, "--json").stdout.splitlines()
        known[unknown] = {answer["file"] for answer in map(json.loads, lines) if answer["label"]}
    assert known["off"] == {str(clip) for clip in (*clips, foreign)}
    assert known["strict"] <= known["calibrated"] <= known["off"]
    assert str(foreign) not in known["strict"]


def test_a_stream_may_be_strict_too(run: Run, enrolled: Path, conversation: Path) -> None:
    profile = Profile.load(enrolled)
    replace(profile, calibration=replace(profile.calibration, strict_cosine=0.9999999)).save(enrolled)
    labels = {}
    for unknown in ("calibrated", "strict"):
        lines = run("stream", conversation, "--unknown", unknown, "--json").stdout.splitlines()
        labels[unknown] = [answer["label"] for answer in map(json.loads, lines) if answer["event"] == "leave"]
    assert labels == {"calibrated": ["calm", "keen"], "strict": [None, None]}


def test_reset_goes_back_to_what_enrolment_set(run: Run, enrolled: Path, others: Path) -> None:
    before = Profile.load(enrolled)
    run("calibrate", "--others", others, "--false-accepts", "0.1")
    run("calibrate", "--reset")
    after = Profile.load(enrolled)
    assert (after.calibration, after.reliability, after.others) == (before.calibration, before.reliability, ())


def test_clips_that_cannot_be_used_are_named_and_the_others_taken(run: Run, enrolled: Path, others: Path) -> None:
    soundfile.write(others / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    result = run("calibrate", "--others", others)
    assert result.returncode == 0
    assert "Left out: silent.wav is silent" in result.stdout
    assert len(Profile.load(enrolled).others) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--false-accepts", "0"), "--false-accepts 0: give a number between 0 and 1"),
        (("--false-accepts", "5"), "--false-accepts 5: give a number between 0 and 1"),
        (("--false-accepts", "nan"), "--false-accepts nan: give a number between 0 and 1"),
        (("--reset", "--false-accepts", "0.1"), "give it without --false-accepts and --others"),
        (("--others", "nowhere"), "no such folder: nowhere"),
    ],
)
def test_wrong_use_is_refused_and_nothing_changes(
    refused: Refused, enrolled: Path, words: tuple[str, ...], message: str
) -> None:
    before = enrolled.read_bytes()
    assert message in refused("calibrate", *words)
    assert enrolled.read_bytes() == before


def test_a_folder_of_no_use_is_refused(refused: Refused, enrolled: Path, tmp_path: Path, support_folder: Path) -> None:
    before = enrolled.read_bytes()
    folder = tmp_path / "useless"
    folder.mkdir()
    assert "has no audio files" in refused("calibrate", "--others", folder)
    soundfile.write(folder / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    assert "silent.wav is silent" in refused("calibrate", "--others", folder)
    shutil.copy(support_folder / "calm" / "0.wav", folder / "copy.wav")
    assert "copy.wav of the other speech is the same recording as calm/0.wav" in refused(
        "calibrate", "--others", folder
    )
    assert enrolled.read_bytes() == before


def test_there_has_to_be_a_profile(refused: Refused) -> None:
    assert "no profile at" in refused("calibrate")


def test_with_one_clip_per_class_no_rate_is_printed(run: Run, support_folder: Path, tmp_path: Path) -> None:
    for label in ("calm", "keen"):
        (tmp_path / "few" / label).mkdir(parents=True)
        shutil.copy(support_folder / label / "0.wav", tmp_path / "few" / label)
    assert "Too few clips to estimate" in run("enroll", tmp_path / "few").stdout
    assert "Too few clips to estimate" in run("calibrate", "--false-accepts", "0.1").stdout


@pytest.mark.usefixtures("enrolled")
def test_a_rate_may_be_given_in_per_cent(run: Run) -> None:
    first, second = (run("calibrate", "--false-accepts", rate, "--json").stdout for rate in ("0.3", "30%"))
    assert first == second


@pytest.mark.usefixtures("enrolled")
def test_a_rate_that_is_no_number_is_refused_with_an_example(run: Run) -> None:
    result = run("calibrate", "--false-accepts", "few")
    assert result.returncode == 2
    assert "give a number such as 0.3 or 30%" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.usefixtures("enrolled")
def test_a_limit_that_other_rules_undercut_is_explained(run: Run) -> None:
    result = run("calibrate", "--false-accepts", "0.99")
    expected = json.loads(run("calibrate", "--false-accepts", "0.99", "--json").stdout)["expected"]["false_accepts"]
    assert expected < 0.89
    assert f"You allow 99 % false accepts, but only {100 * expected:.0f} % are expected" in result.stdout


@pytest.mark.parametrize(
    ("rate", "said"),
    [("30", "did you mean 30%?"), ("1.5", "did you mean 1.5%?"), ("0", "such as 30%"), ("-1", "between 0 and 1")],
)
def test_a_rate_out_of_range_is_refused_in_the_user_s_words(refused: Refused, rate: str, said: str) -> None:
    words = refused("calibrate", f"--false-accepts={rate}")
    assert said in words
    assert "None" not in words
