"""`metaser reenroll` after another bundle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from metaser.runtime import Profile

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]


@pytest.fixture
def own_support(support_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(support_folder, tmp_path / "support"))


@pytest.fixture
def enrolled_own(run: Run, own_support: Path, profile: Path) -> Path:
    assert run("enroll", own_support).returncode == 0
    return profile


def test_the_same_bundle_needs_nothing(run: Run, enrolled_own: Path) -> None:
    before = enrolled_own.read_bytes()
    assert "Nothing to do" in run("reenroll").stdout
    assert enrolled_own.read_bytes() == before


def test_another_model_gets_the_same_clips(run: Run, refused: Refused, enrolled_own: Path) -> None:
    before = Profile.load(enrolled_own)
    assert "renew it with `metaser reenroll`" in refused("calibrate", "--bundle", "frozen")
    result = run("reenroll", "--bundle", "frozen")
    assert "Another model: tiny before, frozen now." in result.stdout
    after = Profile.load(enrolled_own)
    assert after.clips == before.clips
    assert after.model_id != before.model_id
    run("enroll", "--undo")
    assert Profile.load(enrolled_own).model_id == before.model_id


def test_clips_that_moved_are_found_and_changed_ones_are_named(
    run: Run, refused: Refused, own_support: Path, enrolled_own: Path, tmp_path: Path
) -> None:
    before = enrolled_own.read_bytes()
    shutil.move(own_support / "calm" / "0.wav", tmp_path / "found.wav")
    shutil.copy(own_support / "keen" / "1.wav", own_support / "keen" / "0.wav")
    line = refused("reenroll", "--bundle", "frozen")
    assert "2 of 6 clips cannot be read again" in line
    assert "calm/0.wav is gone" in line
    assert "keen/0.wav has changed" in line
    assert enrolled_own.read_bytes() == before
    answer = json.loads(run("reenroll", tmp_path, "--bundle", "frozen", "--drop-missing", "--json").stdout)
    assert answer["moved"] == {"calm/0.wav": str(tmp_path / "found.wav")}
    assert answer["changed"] == ["keen/0.wav"]
    assert answer["clips"] == 5
    assert {clip.name for clip in Profile.load(enrolled_own).clips} >= {"found.wav"}


def test_a_tuned_head_is_dropped_and_that_is_said(run: Run, own_support: Path, profile: Path) -> None:
    assert run("enroll", own_support, "--adapt=force", "--bundle", "frozen").returncode == 0
    result = run("reenroll")
    assert "The tuned head was of the clips before and is dropped" in result.stdout
    assert Profile.load(profile).tuned is None
