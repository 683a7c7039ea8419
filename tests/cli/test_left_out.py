"""Everything that is left out of a support set is reported, as text and in JSON."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime import Profile
from metaser.runtime.bundles.bundle import shipped_folder
from tests.rights import without_rights

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]
M4A = b"\0\0\0\x18ftypM4A \0\0\0\0mp42isom\0\0\0\x08moovmp4a"


@pytest.fixture
def own_support(support_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(support_folder, tmp_path / "support"))


def enroll(run: Run, *words: str | Path) -> tuple[dict[str, Any], str]:
    """The JSON of an enrolment, and the lines on stderr."""
    result = run("enroll", *words, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


@pytest.mark.parametrize("name", ["0.wave", "0.mpga", "0.mp2", "0.3ga", "0.weba", "0", "0.wav.bak", "0.txt", "0.mp4"])
def test_a_clip_is_enrolled_under_any_name(run: Run, own_support: Path, name: str) -> None:
    (own_support / "calm" / "0.wav").rename(own_support / "calm" / name)
    answer, _ = enroll(run, own_support)
    assert answer["classes"] == {"calm": 3, "keen": 3}
    assert answer["left_out"] == []


@pytest.mark.parametrize("name", ["talk.m4a", "talk.wav", "talk.3ga", "talk"])
def test_a_recording_that_cannot_be_decoded_is_an_error_of_that_clip(
    run: Run, refused: Refused, tmp_path: Path, name: str
) -> None:
    support = Path(shutil.copytree(shipped_folder() / "demo" / "support", tmp_path / "support"))
    (support / "joy" / name).write_bytes(M4A)
    assert f"joy/{name} " in refused("enroll", support)
    answer, said = enroll(run, support, "--drop-bad")
    (line,) = answer["dropped"]
    assert line.startswith(f"Left out: joy/{name} ")
    assert line in said


def test_what_cannot_be_opened_is_left_out_and_named(run: Run, own_support: Path) -> None:
    calm = own_support / "calm"
    (calm / "dangling.wav").symlink_to("nowhere.wav")
    os.mkfifo(calm / "pipe.wav")
    shutil.copytree(own_support / "keen", calm / "locked")
    shutil.copy(own_support / "keen" / "1.wav", calm / "locked.wav")
    (calm / "notes.txt").write_text("about the clips")
    with without_rights(calm / "locked", calm / "locked.wav"):
        answer, said = enroll(run, own_support)
    assert answer["classes"] == {"calm": 3, "keen": 3}
    assert answer["left_out"] == [
        {"file": str(calm / "dangling.wav"), "reason": "is a link to nothing"},
        {"file": str(calm / "locked"), "reason": "cannot be read (Permission denied)"},
        {"file": str(calm / "locked.wav"), "reason": "cannot be read (Permission denied)"},
        {"file": str(calm / "notes.txt"), "reason": "is not audio"},
        {"file": str(calm / "pipe.wav"), "reason": "is not a regular file"},
    ]
    for left in answer["left_out"][:3]:
        assert f"Left out: {left['file']} {left['reason']}\n" in said
    assert f"Not audio, and left out: {calm / 'notes.txt'}\n" in said


def test_linked_folders_are_read_and_circles_of_them_are_named(run: Run, own_support: Path, tmp_path: Path) -> None:
    keen = own_support / "keen"
    shutil.move(keen, tmp_path / "real")
    keen.symlink_to(tmp_path / "real")
    (tmp_path / "take").mkdir()
    (own_support / "calm" / "0.wav").rename(tmp_path / "take" / "0.wav")
    (own_support / "calm" / "take").symlink_to(tmp_path / "take")
    (own_support / "calm" / "loop").symlink_to("..")
    answer, said = enroll(run, own_support)
    assert answer["classes"] == {"calm": 3, "keen": 3}
    assert [left["file"] for left in answer["left_out"]] == [str(own_support / "calm" / "loop")]
    assert "calm/loop is a link to a folder that it lies in" in said


def test_the_junk_of_systems_is_no_class_and_no_clip(run: Run, own_support: Path) -> None:
    for name in ("__MACOSX/calm/._0.wav", "calm/__MACOSX/0.wav", "calm/.DS_Store", "calm/Thumbs.db", "@eaDir/0.wav"):
        (own_support / name).parent.mkdir(parents=True, exist_ok=True)
        (own_support / name).write_bytes(b"\0\5\x16\7" + bytes(4_092))
    answer, said = enroll(run, own_support)
    assert (answer["classes"], answer["left_out"]) == ({"calm": 3, "keen": 3}, [])
    assert "Left out" not in said


@pytest.mark.parametrize("what", ["clips", "folder"])
def test_a_class_that_may_not_be_read_is_not_called_empty(refused: Refused, own_support: Path, what: str) -> None:
    keen = own_support / "keen"
    with without_rights(*(keen.iterdir() if what == "clips" else [keen])):
        line = refused("enroll", own_support)
    assert "Permission denied" in line
    assert "no audio files" not in line


def test_a_support_folder_that_may_not_be_read_is_one_line(refused: Refused, own_support: Path) -> None:
    with without_rights(own_support):
        assert f"{own_support} cannot be read (Permission denied)" in refused("enroll", own_support)


def test_clips_without_a_class_are_named(run: Run, own_support: Path) -> None:
    shutil.copy(own_support / "calm" / "0.wav", own_support / "loose.wav")
    answer, said = enroll(run, own_support)
    assert answer["left_out"] == [{"file": str(own_support / "loose.wav"), "reason": "is not in a class folder"}]
    assert "loose.wav is not in a class folder" in said


def test_a_clip_of_which_a_part_is_missing_is_named(run: Run, own_support: Path) -> None:
    clip = own_support / "calm" / "0.wav"
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 4 // 5])
    answer, said = enroll(run, own_support)
    (notice,) = answer["notices"]
    assert notice == "calm/0.wav: it is cut off: 1.2 s were read and 0.3 s are missing"
    assert notice in said


def test_a_very_long_clip_is_remarked_on(run: Run, own_support: Path, make_clip: ClipMaker) -> None:
    soundfile.write(own_support / "calm" / "long.wav", np.tile(make_clip("calm", 10.0, 9), 9), 16_000)
    answer, said = enroll(run, own_support)
    remarked = {each["name"]: each["faults"][-1] for each in answer["report"]["clips"] if each["long"]}
    assert remarked == {"long.wav": "90 s long and the others about 1.5 s"}
    (verdict,) = (each for each in answer["report"]["findings"] if "90 s long and the others about 1.5 s" in each)
    assert f"- {verdict}" in said
    assert "90 s long" in run("enroll", "--report").stdout


@pytest.mark.usefixtures("enrolled")
def test_other_speech_that_cannot_be_used_is_named(run: Run, support_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    samples, rate_hz = soundfile.read(support_folder / "calm" / "0.wav")
    soundfile.write(folder / "talk.wave", samples[::-1], rate_hz, format="WAV")
    (folder / "broken.wav").write_bytes(b"no audio at all")
    shutil.copy(folder / "talk.wave", folder / "locked.wav")
    with without_rights(folder / "locked.wav"):
        result = run("calibrate", "--others", folder, "--json")
    answer = json.loads(result.stdout)
    assert (result.returncode, answer["others"]) == (0, 1)
    assert answer["left_out"] == [{"file": str(folder / "locked.wav"), "reason": "cannot be read (Permission denied)"}]
    assert [line.split()[0] for line in answer["dropped"]] == ["broken.wav"]
    assert "Left out: broken.wav " in result.stderr
    assert "locked.wav cannot be read (Permission denied)" in result.stderr


def test_clips_are_found_again_under_any_name_and_unreadable_ones_are_not_called_gone(
    run: Run, refused: Refused, own_support: Path, profile: Path, other_bundle: Callable[[str], Path]
) -> None:
    run("enroll", own_support)
    bundle = other_bundle("graph_id")
    locked = own_support / "keen" / "0.wav"
    with without_rights(locked):
        assert "keen/0.wav cannot be read" in refused("reenroll", "--bundle", bundle)
    (own_support / "calm" / "0.wav").rename(own_support / "moved")
    with without_rights(locked):
        result = run("reenroll", own_support, "--bundle", bundle, "--drop-missing", "--json")
    answer = json.loads(result.stdout)
    assert (list(answer["moved"]), answer["unreadable"], answer["missing"]) == (["calm/0.wav"], ["keen/0.wav"], [])
    assert f"Left out: keen/0.wav cannot be read ({locked})" in result.stderr
    assert len(Profile.load(profile).clips) == 5


def test_folders_below_the_classes_are_named_because_they_may_be_meant(run: Run, own_support: Path) -> None:
    for label in ("calm", "keen"):
        for number, session in enumerate(("morning", "evening")):
            (own_support / label / session).mkdir()
            (own_support / label / f"{number}.wav").rename(own_support / label / session / f"{number}.wav")
    answer, said = enroll(run, own_support)
    (notice,) = (line for line in answer["notices"] if "folders inside them" in line)
    assert "calm, keen; the folders inside them (evening, morning) only group clips of one class" in notice
    assert notice in said
