"""The figures of tested clips, worked out by hand."""

import numpy as np
import pytest

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
