"""The figures of tested clips, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime import Engine, InputWarning, Profile, SupportError, load_audio
from metaser.runtime.enrolment.clip import Clip
from metaser.runtime.enrolment.embed import EmbeddedClips
from metaser.runtime.enrolment.evaluation import ProfileEvaluation, TestedClip
from metaser.runtime.scoring.decision import Decision


def answer(true: str, label: str | None, confidence: float) -> TestedClip:
    return TestedClip(Clip(true, "0" * 64, f"{label}-{confidence}.wav", ""), Decision(label, confidence, {}))


NOTHING = EmbeddedClips((), np.zeros((0, 2), np.float32), (), (), ())


def evaluation(*clips: TestedClip) -> ProfileEvaluation:
    return ProfileEvaluation(
        ("anger", "joy"), clips, (answer("fear", "joy", 0.7), answer("fear", None, 0.4)), (), NOTHING
    )


FOUND = evaluation(
    answer("anger", "anger", 0.9),
    answer("anger", "joy", 0.8),
    answer("joy", "joy", 0.6),
    answer("joy", "anger", 0.95),
    answer("joy", None, 0.5),
)


def test_counts_and_confusion() -> None:
    assert (FOUND.correct, FOUND.unknown, FOUND.foreign_labelled) == (2, 1, 1)
    assert FOUND.confusion.tolist() == [[1, 1, 0], [1, 1, 1]]


def test_confidence_is_compared_with_the_truth_of_the_labels_that_were_given() -> None:
    assert FOUND.mean_confidence == pytest.approx((0.9 + 0.8 + 0.6 + 0.95) / 4)
    assert FOUND.labelled_accuracy == 0.5
    # four groups of one label: |0.6 - 1|, |0.8 - 0|, |0.9 - 1|, |0.95 - 0|
    assert FOUND.confidence_error == pytest.approx((0.4 + 0.8 + 0.1 + 0.95) / 4)


def test_wrong_and_sure_clips_are_to_be_heard_the_surest_first() -> None:
    assert [each.decision.confidence for each in FOUND.to_hear] == [0.95, 0.8]


def test_without_labels_there_is_no_confidence_to_judge() -> None:
    nothing = evaluation(answer("joy", None, 0.5))
    assert (nothing.mean_confidence, nothing.labelled_accuracy, nothing.confidence_error) == (None, None, None)


def test_no_interval_is_claimed_of_no_clips() -> None:
    nothing = evaluation()
    assert nothing.interval is None
    assert FOUND.interval is not None


def clip_of(support_folder: Path, label: str) -> list[np.ndarray]:
    """A clip that is not enrolled: one of this class, played backwards."""
    return [load_audio(min((support_folder / label).iterdir()))[::-1].copy()]


def test_clips_of_no_enrolled_class_are_an_error_that_names_both(
    engine: Engine, profile: Profile, support_folder: Path
) -> None:
    foreign = {"Angr": clip_of(support_folder, "anger"), "fear": clip_of(support_folder, "joy")}
    with pytest.raises(
        SupportError,
        match=r"no class is enrolled: Angr is not an enrolled class; did you mean anger\?, fear is not an enrolled "
        r"class\. Name the folders as the enrolled classes: anger, joy, neutral, sadness",
    ):
        engine.evaluate(profile, foreign)


def test_some_classes_that_are_not_enrolled_are_a_warning(
    engine: Engine, profile: Profile, support_folder: Path
) -> None:
    mixed = {"joi": clip_of(support_folder, "joy"), "anger": clip_of(support_folder, "anger")}
    with pytest.warns(InputWarning, match=r"^joi is not an enrolled class; did you mean joy\?$"):
        tested = engine.evaluate(profile, mixed)
    assert (len(tested.clips), len(tested.foreign)) == (1, 1)


def test_clips_that_are_all_enrolled_or_unusable_are_an_error(
    engine: Engine, profile: Profile, support_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SupportError, match="all clips are enrolled: test the profile with other clips"):
        engine.evaluate(profile, support_folder)
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy" / "1.wav").write_bytes(b"no audio at all")
    with pytest.raises(SupportError, match=r"no clip can be used \(joy/1\.wav cannot be read as audio"):
        engine.evaluate(profile, tmp_path)


def test_an_unusable_clip_is_a_warning(engine: Engine, profile: Profile, support_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy" / "1.wav").write_bytes(b"no audio at all")
    soundfile.write(tmp_path / "joy" / "2.wav", clip_of(support_folder, "joy")[0], 16_000)
    with pytest.warns(InputWarning, match="joy/1.wav cannot be read as audio"):
        assert len(engine.evaluate(profile, tmp_path).clips) == 1
