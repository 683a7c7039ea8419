"""A recording counts once, in any format, and never in two classes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime import Engine, InputWarning, Profile, SupportError, load_audio


@pytest.fixture
def support(support_folder: Path, tmp_path: Path) -> Path:
    """The demonstration clips, with an MP3 at half the volume of the first and a part of the second."""
    folder = Path(shutil.copytree(support_folder, tmp_path / "support"))
    first, second = sorted((folder / "joy").iterdir())[:2]
    soundfile.write(folder / "joy" / "copy.mp3", 0.5 * load_audio(first), 16_000)
    part = load_audio(second)
    soundfile.write(folder / "joy" / "part.wav", part[: len(part) * 3 // 4], 16_000)
    return folder


def test_copies_are_not_enrolled_and_are_named(engine: Engine, support: Path, profile: Profile) -> None:
    first, second = sorted(
        path.name for path in (support / "joy").iterdir() if path.name not in ("copy.mp3", "part.wav")
    )[:2]
    with pytest.warns(InputWarning, match="2 clips are copies of others of their class") as caught:
        enrolled = engine.enroll(support)
    assert f"joy/copy.mp3 (joy/{first})" in str(caught[0].message)
    assert f"joy/part.wav (joy/{second})" in str(caught[0].message)
    assert sorted(clip.sha256 for clip in enrolled.clips) == sorted(clip.sha256 for clip in profile.clips)
    assert enrolled.prototypes.tobytes() == profile.prototypes.tobytes()
    assert [clip.copies for clip in enrolled.clips if clip.copies] != []


def test_copies_of_arrays_are_not_enrolled_either(engine: Engine, support_folder: Path) -> None:
    joy, *others = (load_audio(path) for path in sorted((support_folder / "joy").iterdir()))
    anger = [load_audio(path) for path in sorted((support_folder / "anger").iterdir())]
    with pytest.warns(InputWarning, match=r"1 clip is a copy .* not enrolled: joy/array 1 \(joy/array 0\)"):
        enrolled = engine.enroll({"joy": [joy, (0.4 * joy).astype(np.float32), *others], "anger": anger})
    assert len(enrolled.clips) == 10


def test_one_recording_in_two_classes_is_refused_also_as_a_copy(engine: Engine, support: Path) -> None:
    shutil.move(support / "joy" / "copy.mp3", support / "anger" / "copy.mp3")
    (support / "joy" / "part.wav").unlink()
    with pytest.raises(
        SupportError, match=r"the same recording is in two classes \(anger/copy\.mp3, joy/.*\): keep it"
    ):
        engine.enroll(support)


def test_copies_of_enrolled_files_are_not_added(engine: Engine, support: Path, support_folder: Path) -> None:
    profile = engine.enroll(support_folder)
    more = support.parent / "more"
    (more / "joy").mkdir(parents=True)
    shutil.move(support / "joy" / "copy.mp3", more / "joy" / "copy.mp3")
    with pytest.warns(InputWarning) as caught:
        same = engine.add(profile, more)
    assert [str(each.message).split(":")[0] for each in caught] == [
        "1 clip is a copy of what is enrolled, and not added",
        "Nothing is new",
    ]
    assert same.clips == profile.clips
    (more / "joy").rename(more / "anger")
    with pytest.raises(SupportError, match=r"anger/copy\.mp3 is already enrolled as joy/.*: remove it there first"):
        engine.add(profile, more)


def test_a_copy_of_a_file_that_is_gone_is_not_recognised(engine: Engine, support: Path, profile: Profile) -> None:
    gone = replace(profile, clips=tuple(replace(clip, path="/nowhere/0.wav") for clip in profile.clips))
    more = support.parent / "more"
    (more / "joy").mkdir(parents=True)
    shutil.move(support / "joy" / "copy.mp3", more / "joy" / "copy.mp3")
    assert len(engine.add(gone, more).clips) == len(profile.clips) + 1


def test_copies_of_enrolled_clips_are_not_tested(engine: Engine, support: Path, profile: Profile) -> None:
    new = support.parent / "new"
    (new / "joy").mkdir(parents=True)
    shutil.move(support / "joy" / "copy.mp3", new / "joy" / "copy.mp3")
    with pytest.raises(SupportError, match="all clips are enrolled"):
        engine.evaluate(profile, new)
    (new / "joy").rename(new / "anger")
    with pytest.raises(SupportError, match=r"other clips\. The labels .*: anger/copy\.mp3 is enrolled as joy/"):
        engine.evaluate(profile, new)
    (new / "anger").rename(new / "joy")
    sound = load_audio(min((support / "neutral").iterdir()))
    soundfile.write(new / "joy" / "new.wav", sound[::-1], 16_000)
    (new / "anger").mkdir()
    shutil.move(support / "joy" / "part.wav", new / "anger" / "part.wav")
    with pytest.warns(InputWarning, match=r"contradict the profile: anger/part\.wav is enrolled as joy/"):
        tested = engine.evaluate(profile, new)
    assert ([each.clip.name for each in tested.clips], len(tested.enrolled)) == (["new.wav"], 2)


def test_tested_clips_that_say_little_are_named(engine: Engine, profile: Profile, tmp_path: Path) -> None:
    new = tmp_path / "new" / "joy"
    new.mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).normal(size=16_000)
    soundfile.write(new / "noise.wav", noise, 16_000)
    with pytest.warns(InputWarning, match=r"1 of 1 clip should be recorded again: joy/noise\.wav \(no speech found\)"):
        engine.evaluate(profile, new.parent)
