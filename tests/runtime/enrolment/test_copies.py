"""A recording counts once, in any format, and never in two classes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime import Clip, Engine, InputWarning, Profile, SupportError, load_audio
from metaser.runtime.enrolment import copies


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
    with pytest.warns(InputWarning, match="2 clips are copies of others, perhaps") as caught:
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


def test_copies_are_recognised_when_their_originals_are_gone(
    engine: Engine, support: Path, profile: Profile, tmp_path: Path
) -> None:
    gone = replace(profile, clips=tuple(replace(clip, path="/nowhere/0.wav") for clip in profile.clips))
    gone.save(tmp_path / "gone.metaser")
    more = support.parent / "more"
    (more / "joy").mkdir(parents=True)
    shutil.move(support / "joy" / "copy.mp3", more / "joy" / "copy.mp3")
    with pytest.warns(InputWarning, match=r"1 clip is a copy of what is enrolled|Nothing is new: 1 clip"):
        assert engine.add(engine.open_profile(tmp_path / "gone.metaser"), more).clips == gone.clips


def test_copies_of_arrays_are_recognised_too(engine: Engine, support_folder: Path) -> None:
    arrays = {
        label: [load_audio(path) for path in sorted((support_folder / label).iterdir())] for label in ("joy", "anger")
    }
    profile, quieter = engine.enroll(arrays), (0.5 * arrays["joy"][0]).astype(np.float32)
    with pytest.warns(InputWarning, match=r"1 clip is a copy of what is enrolled|Nothing is new: 1 clip"):
        assert engine.add(profile, {"joy": [quieter]}).clips == profile.clips
    with pytest.raises(SupportError, match="anger/array 0 is already enrolled as joy/array 0"):
        engine.add(profile, {"anger": [quieter]})
    with pytest.raises(SupportError, match="all clips are enrolled"):
        engine.evaluate(profile, {"joy": [quieter]})


def test_one_recording_is_not_both_of_a_class_and_other_speech(
    engine: Engine, support_folder: Path, tmp_path: Path
) -> None:
    classes = {
        label: [load_audio(path) for path in sorted((support_folder / label).iterdir())] for label in ("joy", "anger")
    }
    profile = engine.enroll(classes)
    soundfile.write(tmp_path / "quieter.wav", 0.5 * classes["joy"][0], 16_000)
    with pytest.raises(SupportError, match=r"quieter\.wav of the other speech is the same recording as joy/array 0"):
        engine.calibrate(profile, others=engine.embed_others(tmp_path, profile))
    (tmp_path / "quieter.wav").unlink()
    neutral = load_audio(min((support_folder / "neutral").iterdir()))
    soundfile.write(tmp_path / "neutral.wav", neutral, 16_000)
    calibrated = engine.calibrate(profile, others=engine.embed_others(tmp_path, profile))
    with pytest.raises(SupportError, match=r"neutral\.wav of the other speech is the same recording as neutral/array"):
        engine.add(calibrated, {"neutral": [(0.5 * neutral).astype(np.float32)]})


def test_of_many_clips_the_nearest_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    contours = rng.integers(0, 256, (6, 4, 100)).astype(np.uint8)
    clips = [Clip("joy", f"{row}" * 64, f"{row}.wav", "", contour=contours[row]) for row in range(5)]
    copy = Clip("joy", "f" * 64, "copy.wav", "", contour=contours[3])
    known = copies.Recordings(clips, np.eye(5, dtype=np.float32))
    near, far = np.array([0, 1, 0, 2, 0], np.float32), np.array([2, 1, 0, 0, 0], np.float32)
    assert known.originals(copy, far) == [clips[3]]
    monkeypatch.setattr(copies, "NEAREST", 2)
    assert (known.originals(copy, near), known.originals(copy, far)) == ([clips[3]], [])


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
    with pytest.warns(InputWarning) as caught:
        tested = engine.evaluate(profile, new)
    warned = " ".join(str(each.message) for each in caught)
    assert "Not tested, because enrolled: 2 clips" in warned
    assert "contradict the profile: anger/part.wav is enrolled as joy/" in warned
    assert ([each.clip.name for each in tested.clips], len(tested.enrolled)) == (["new.wav"], 2)


def test_tested_clips_that_say_little_are_named(engine: Engine, profile: Profile, tmp_path: Path) -> None:
    new = tmp_path / "new" / "joy"
    new.mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).normal(size=16_000)
    soundfile.write(new / "noise.wav", noise, 16_000)
    with pytest.warns(InputWarning, match=r"1 of 1 clip should be recorded again: joy/noise\.wav \(no speech found\)"):
        engine.evaluate(profile, new.parent)


def test_copies_among_tested_clips_and_other_speech_count_once(
    engine: Engine, profile: Profile, support_folder: Path, tmp_path: Path
) -> None:
    clip = load_audio(min((support_folder / "joy").iterdir()))[::-1]
    for path, samples in (("joy/a.wav", clip), ("joy/b.flac", 0.5 * clip), ("joy/c.mp3", clip[8_000:])):
        (tmp_path / "new" / "joy").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "new" / path, samples, 16_000)
    with pytest.warns(InputWarning, match="2 clips are copies of others, .* not tested"):
        assert len(engine.evaluate(profile, tmp_path / "new").clips) == 1
    read = engine.embed_others(tmp_path / "new", profile)
    assert (len(read.clips), read.notices[-1].split(":")[0][-8:]) == (1, "not used")
    with pytest.warns(InputWarning, match="Most correct labels become unknown"):
        calibrated = engine.calibrate(profile, others=read)
    with pytest.raises(SupportError, match=r"all clips are enrolled: .* other speech of the profile is not tested"):
        engine.evaluate(calibrated, tmp_path / "new")
    (tmp_path / "new" / "anger").mkdir()
    (tmp_path / "new" / "joy" / "b.flac").rename(tmp_path / "new" / "anger" / "b.flac")
    with pytest.raises(SupportError, match="the same recording is in two classes"):
        engine.evaluate(profile, tmp_path / "new")


def test_an_enrolled_clip_among_new_ones_is_named(engine: Engine, support: Path, profile: Profile) -> None:
    more = support.parent / "more"
    (more / "joy").mkdir(parents=True)
    first = min(path for path in (support / "joy").iterdir() if path.suffix == ".flac")
    shutil.copy(first, more / "joy")
    soundfile.write(more / "joy" / "new.wav", load_audio(first)[::-1], 16_000)
    with pytest.warns(InputWarning, match=f"1 clip is enrolled already: joy/{first.name}"):
        assert len(engine.add(profile, more).clips) == len(profile.clips) + 1
