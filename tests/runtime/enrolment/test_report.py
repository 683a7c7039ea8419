"""The enrolment report, on embeddings in a plane that can be worked out by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from metaser.runtime import Calibration, Clip, Profile
from metaser.runtime.audio.quality import ClipQuality
from metaser.runtime.enrolment.map import coordinates
from metaser.runtime.enrolment.report import make_report, pair_confusions, usual_if_long
from metaser.runtime.scoring.leave_one_out import cross_fit

GOOD = ClipQuality(3.0, 2.5, -25.0, 30.0, 0.0)


def profile_of(degrees: Mapping[str, Sequence[float]], quality: ClipQuality | None = GOOD) -> Profile:
    """Clips at these angles; clip 2 of joy is joy/2.wav."""
    angles = [(label, number, angle) for label, own in degrees.items() for number, angle in enumerate(own)]
    return Profile(
        model_id="model",
        graph_id="graph",
        bundle_name="tiny",
        calibration=Calibration(temperature=1.0),
        clips=tuple(
            Clip(label, f"{row:064d}", f"{number}.wav", "", quality=quality)
            for row, (label, number, _) in enumerate(angles)
        ),
        embeddings=np.array(
            [[np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))] for _, _, angle in angles], np.float32
        ),
    )


APART = {"anger": [0, 5, 10], "joy": [90, 95, 100]}


def test_good_clips_of_classes_that_lie_apart_need_nothing() -> None:
    report = make_report(profile_of(APART), scale=10.0)
    assert report.findings == ()
    assert [(own.label, own.clips, own.recognised, own.speech_s) for own in report.classes] == [
        ("anger", 3, 3, 7.5),
        ("joy", 3, 3, 7.5),
    ]
    assert [(pair.labels, pair.confused, pair.clips) for pair in report.pairs] == [(("anger", "joy"), 0.0, 6)]


def test_cohesion_and_probability_are_of_the_clip_left_out() -> None:
    report = make_report(profile_of(APART), scale=10.0)
    # the others of its class lie at a mean of 7.5, 5 and 2.5 degrees; the other class's prototype at 95
    own, other = np.cos(np.deg2rad(np.array([[7.5, 0, 7.5], [95, 90, 85]])))
    assert report.classes[0].cohesion == pytest.approx(own.mean(), abs=1e-4)
    expected = 1 / (1 + np.exp(-10 * (own - other)))
    assert [each.probability for each in report.clips[:3]] == pytest.approx(expected, abs=1e-4)
    assert {each.nearest for each in report.clips[:3]} == {"anger"}


def test_a_clip_that_is_far_more_like_another_class_is_named() -> None:
    report = make_report(profile_of({"anger": [0, 5, 10], "joy": [90, 95, 3]}), scale=40.0)
    assert [each.clip.title for each in report.clips if each.is_outlier] == ["joy/2.wav"]
    assert "joy/2.wav sounds more like anger: check its label" in report.findings


def test_classes_that_overlap_are_named_with_what_helps() -> None:
    report = make_report(profile_of({"anger": [0, 20, 41], "joy": [10, 30, 50], "sad": [180, 185, 190]}), scale=1.0)
    first = report.pairs[0]
    assert first.labels == ("anger", "joy")
    # degrees to the rest of its own class and to the other: 0 (30.5, 30), 41 (31, 11), 10 (30, 10.3), 50 (30, 29.7)
    assert first.confused == 4 / 6
    more = "more clips help: record 10 of each class"
    assert report.findings == ("anger and joy overlap: add two clips of each", more)
    ten = {"anger": [0, 20, 41, 5, 25] * 2, "joy": [10, 30, 50, 15, 35] * 2}
    assert more not in make_report(profile_of(ten), scale=1.0).findings


def test_confusion_of_two_classes_by_hand() -> None:
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    fitted = cross_fit(embeddings, np.array([0, 0, 1, 1, 1]))
    # the last clip is nearer to the first class than to the rest of its own
    assert pair_confusions(fitted) == {(0, 1): pytest.approx(1 / 5)}


def test_the_same_recording_coded_twice_is_named_with_its_twin() -> None:
    report = make_report(profile_of({"anger": [0, 8, 0.01], "joy": [90, 95, 100]}), scale=10.0)
    assert [each.twin for each in report.clips] == [None, None, "anger/0.wav", None, None, None]
    assert report.findings == ("anger/2.wav repeats anger/0.wav and adds nothing: record another",)


def test_few_clips_are_said_and_nothing_is_claimed_of_one() -> None:
    report = make_report(profile_of({"anger": [0], "joy": [90, 95]}), scale=10.0)
    assert report.findings[:2] == (
        "anger has 1 clip: five are a good start",
        "joy has 2 clips: five are a good start",
    )
    assert (report.classes[0].recognised, report.classes[0].cohesion) == (None, None)
    assert (report.clips[0].nearest, report.clips[0].probability) == (None, None)


def test_bad_recordings_come_first_and_are_not_called_mislabelled() -> None:
    profile = profile_of({"anger": [0, 5, 10], "joy": [90, 95, 3]})
    clips = [replace(clip, quality=replace(GOOD, speech_s=0.0)) if clip.title == "joy/2.wav" else clip
             for clip in profile.clips]  # fmt: skip
    report = make_report(replace(profile, clips=tuple(clips)), scale=40.0)
    assert report.findings[0] == "joy/2.wav: no speech found; record it again"
    assert not any("check its label" in verdict for verdict in report.findings)


def test_a_profile_of_before_has_a_report_without_recordings() -> None:
    report = make_report(profile_of(APART, quality=None), scale=10.0)
    assert [own.speech_s for own in report.classes] == [None, None]
    assert report.findings == ()


def test_the_map_keeps_distances_that_lie_in_a_plane() -> None:
    profile = profile_of(APART)
    clips, prototypes, shown = coordinates(profile)
    assert shown == pytest.approx(1.0)
    distance = np.linalg.norm(profile.embeddings[0] - profile.embeddings[5])
    assert np.linalg.norm(clips[0] - clips[5]) == pytest.approx(distance, rel=1e-6)
    assert prototypes.shape == (2, 2)


def test_a_clip_is_long_beside_the_others_and_not_beside_itself() -> None:
    assert usual_if_long(540.0, [3.0, 540.0]) == 3.0
    assert usual_if_long(540.0, [540.0, 2.0, 3.0, 4.0]) == 3.0
    assert usual_if_long(540.0, [540.0, 500.0, 560.0]) is None
    assert usual_if_long(14.0, [14.0, 1.0, 1.0]) is None  # nobody minds a clip of 14 s
    assert usual_if_long(3.0, [3.0, 540.0]) is None
    assert usual_if_long(540.0, [540.0]) is None


def test_a_long_clip_is_to_be_cut_and_one_with_other_faults_recorded_again() -> None:
    profile = profile_of({"anger": [0, 5, 10], "joy": [90, 95, 100]})

    def found(quality: ClipQuality) -> tuple[str, ...]:
        clips = (replace(profile.clips[0], quality=quality), *profile.clips[1:])
        report = make_report(replace(profile, clips=clips), 10.0)
        assert [each.is_long for each in report.clips] == [True, *[False] * 5]
        return report.findings

    long = replace(GOOD, duration_s=540.0)
    about = "540 s long and the others about 3.0 s"
    assert f"anger/0.wav: {about}; it counts as one clip, so cut clips of a few seconds from it" in found(long)
    quiet = replace(long, level_dbfs=-70.0)
    assert f"anger/0.wav: very quiet (-70 dBFS), {about}; record it again" in found(quiet)
