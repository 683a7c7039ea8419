"""The report on enrolled clips: confusions by hand, and verdicts that say what to do."""

from dataclasses import replace

import numpy as np
import pytest

from metaser.runtime import Calibration, Clip, Profile
from metaser.runtime.clip_quality import ClipQuality
from metaser.runtime.cross_fitting import cross_fit
from metaser.runtime.report import make_report, pair_confusions

GOOD = ClipQuality(duration_s=3, speech_s=2.5, level_dbfs=-25, snr_db=30, clipped_share=0)


def profile_of(rows: dict[str, list[list[float]]], quality: ClipQuality = GOOD) -> Profile:
    clips = [
        Clip(label=label, sha256=f"{label}{index}", name=f"{index}.wav", path="", quality=quality)
        for label, own in rows.items()
        for index in range(len(own))
    ]
    embeddings = np.array([row for own in rows.values() for row in own], np.float32)
    return Profile("model", "graph", "tiny", Calibration(temperature=0.1), tuple(clips), embeddings)


CLEAR = {"joy": [[1, 0.1], [1, -0.1], [1, 0.2]], "rage": [[0.1, 1], [-0.1, 1], [0.2, 1]]}


def test_classes_that_lie_apart_need_nothing() -> None:
    report = make_report(profile_of(CLEAR), scale=1.0)
    assert report.verdicts == ()
    assert [(each.label, each.clips, each.recognised) for each in report.classes] == [("joy", 3, 3), ("rage", 3, 3)]
    assert report.pairs[0].confused == 0


def test_confusion_of_two_classes_by_hand() -> None:
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    fitted = cross_fit(embeddings, np.array([0, 0, 1, 1, 1]))
    # the last clip is nearer to the first class than to the rest of its own
    assert pair_confusions(fitted) == {(0, 1): pytest.approx(1 / 5)}


def test_overlapping_classes_are_named_with_what_to_do() -> None:
    mixed: dict[str, list[list[float]]] = {"joy": [[1, 0], [0, 1], [1, 1.1]], "rage": [[1.1, 1], [0, 1.1], [1.2, 0]]}
    verdicts = make_report(profile_of(mixed), scale=1.0).verdicts
    assert "joy and rage overlap: add two clips of each" in verdicts


def test_a_clip_in_the_wrong_folder_is_found() -> None:
    rows: dict[str, list[list[float]]] = {"joy": [*CLEAR["joy"], [-0.05, 1.0]], "rage": CLEAR["rage"]}
    report = make_report(profile_of(rows), scale=1.0)
    assert "joy/3.wav sounds more like rage: check its label" in report.verdicts
    assert [each.clip.title for each in report.clips if each.is_outlier] == ["joy/3.wav"]


def test_a_bad_recording_comes_first() -> None:
    profile = profile_of(CLEAR)
    hissing = replace(profile.clips[0], quality=replace(GOOD, snr_db=1, speech_s=0.2))
    report = make_report(replace(profile, clips=(hissing, *profile.clips[1:])), scale=1.0)
    assert report.verdicts[0].startswith("joy/0.wav: only 0.2 s of speech, noisy")


def test_twins_and_copies_are_told() -> None:
    rows: dict[str, list[list[float]]] = {"joy": [[1, 0.1], [1, 0.1], [1, 0.5]], "rage": CLEAR["rage"]}
    profile = profile_of(rows)
    copied = replace(profile.clips[2], copies=("joy/again.wav",))
    report = make_report(replace(profile, clips=(*profile.clips[:2], copied, *profile.clips[3:])), scale=1.0)
    assert "joy/1.wav repeats joy/0.wav and adds nothing: record another" in report.verdicts
    assert "joy/2.wav is there twice, as joy/again.wav" in report.verdicts


def test_a_single_clip_cannot_be_judged() -> None:
    report = make_report(profile_of({"joy": [[1, 0]], "rage": [[0, 1]]}), scale=1.0)
    assert all(each.probability is None and not each.is_outlier for each in report.clips)
    assert report.verdicts[0] == "joy has 1 clip: five are a good start"
