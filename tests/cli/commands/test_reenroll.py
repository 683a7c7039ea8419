"""`metaser reenroll`."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from metaser.runtime import Profile

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]
OtherBundle: TypeAlias = Callable[[str], Path]


@pytest.fixture
def own_support(run: Run, support_folder: Path, tmp_path: Path) -> Path:
    """A support set of the test's own, enrolled."""
    folder = Path(shutil.copytree(support_folder, tmp_path / "support"))
    assert run("enroll", folder).returncode == 0
    return folder


@pytest.mark.usefixtures("own_support")
@pytest.mark.parametrize("field", ["graph_id", "model_id"])
def test_a_profile_is_renewed_for_another_bundle(
    run: Run, refused: Refused, profile: Path, other_bundle: OtherBundle, field: str
) -> None:
    words = {"graph_id": "Another export of the same model", "model_id": "Another model"}[field]
    bundle, before = other_bundle(field), profile.read_bytes()
    assert "metaser reenroll" in refused("classify", "a.wav", "--bundle", bundle)
    result = run("reenroll", "--bundle", bundle)
    assert result.returncode == 0
    assert words in result.stdout
    assert "Correct when left out: 6 of 6 before, 6 of 6 now." in result.stdout
    assert f"Next:  metaser classify clip.wav --bundle {shlex.quote(str(bundle))}" in result.stdout
    assert getattr(Profile.load(profile), field) == "f" * 64
    run("enroll", "--undo")
    assert profile.read_bytes() == before


@pytest.mark.usefixtures("own_support")
def test_the_same_bundle_leaves_nothing_to_do(run: Run, profile: Path) -> None:
    before = profile.read_bytes()
    result = run("reenroll", "--json")
    assert json.loads(result.stdout) == {"profile": str(profile), "bundle": "tiny", "renewed": False}
    assert "Nothing to do" in result.stderr
    assert profile.read_bytes() == before


def test_clips_that_moved_are_found_and_lost_ones_left_out_when_asked(
    run: Run, refused: Refused, own_support: Path, profile: Path, other_bundle: OtherBundle
) -> None:
    bundle, before = other_bundle("graph_id"), profile.read_bytes()
    (own_support / "calm" / "0.wav").unlink()
    (own_support / "calm" / "1.wav").write_bytes((own_support / "keen" / "1.wav").read_bytes())
    moved = own_support.rename(own_support.parent / "moved")
    assert "6 of 6 clips cannot be read again" in refused("reenroll", "--bundle", bundle)
    message = refused("reenroll", moved, "--bundle", bundle)
    assert "2 of 6 clips cannot be read again" in message
    assert "give the folder they are in" in message
    assert profile.read_bytes() == before
    result = run("reenroll", moved, "--bundle", bundle, "--drop-missing", "--json")
    answer = json.loads(result.stdout)
    assert (answer["renewed"], answer["clips"], len(answer["moved"])) == (True, 4, 4)
    assert sorted([*answer["changed"], *answer["missing"]]) == ["calm/0.wav", "calm/1.wav"]
    assert "Left out: calm/0.wav is gone" in result.stderr
    assert {Path(clip.path).parent.parent for clip in Profile.load(profile).clips} == {moved}


def test_a_class_without_clips_left_is_refused(
    refused: Refused, own_support: Path, profile: Path, other_bundle: OtherBundle
) -> None:
    before = profile.read_bytes()
    shutil.rmtree(own_support / "calm")
    message = refused("reenroll", "--bundle", other_bundle("graph_id"), "--drop-missing")
    assert "fewer than two classes were found" in message
    assert profile.read_bytes() == before


def test_what_of_the_folder_cannot_be_read_is_named(
    run: Run, refused: Refused, own_support: Path, other_bundle: OtherBundle
) -> None:
    bundle = other_bundle("graph_id")
    link = own_support / "calm" / "0.wav"
    link.unlink()
    link.symlink_to("nowhere")
    words = ("reenroll", own_support, "--bundle", bundle)
    assert f"calm/0.wav is gone; {link} is a link to nothing): give the folder" in refused(*words)
    result = run(*words, "--drop-missing", "--json")
    assert json.loads(result.stdout)["left_out"] == [{"file": str(link), "reason": "is a link to nothing"}]
    assert f"Left out: {link} is a link to nothing" in result.stderr


def test_what_is_not_there_is_named(
    refused: Refused, own_support: Path, other_bundle: OtherBundle, tmp_path: Path
) -> None:
    assert "no such folder" in refused("reenroll", own_support / "none", "--bundle", other_bundle("graph_id"))
    assert "no profile at" in refused("reenroll", "--profile", tmp_path / "none.safetensors")


def test_clips_that_moved_to_another_class_stop_it(
    refused: Refused, own_support: Path, profile: Path, other_bundle: OtherBundle
) -> None:
    before = profile.read_bytes()
    (own_support / "calm" / "0.wav").rename(own_support / "keen" / "new.wav")
    message = refused("reenroll", own_support, "--bundle", other_bundle("graph_id"))
    assert "1 clip moved to the folder of another class, such as calm/0.wav, now in keen" in message
    assert f"metaser enroll {own_support}" in message
    assert profile.read_bytes() == before


def test_a_folder_that_is_not_read_is_said(run: Run, own_support: Path) -> None:
    assert (
        f"{own_support} was not read; to enrol the clips in it: metaser enroll" in run("reenroll", own_support).stdout
    )
