"""When a label changes inside an utterance, and when it does not, by hand."""

import numpy as np

from metaser.runtime.decision import Calibration
from metaser.runtime.segment import Segment

A, B = np.array([0.9, 0.1]), np.array([0.2, 0.8])


def new_segment(dwell_windows: int = 3) -> Segment:
    return Segment(0, ("a", "b"), Calibration(), dwell_windows)


def test_the_label_is_that_of_the_mean_score() -> None:
    segment = new_segment()
    for scores in (A, A, np.array([0.6, 0.4])):
        assert segment.hear(scores, 0) is None
    assert segment.decision.label == "a"
    np.testing.assert_allclose(segment.decision.confidence, (0.9 + 0.9 + 0.6) / 3)


def test_a_window_that_disagrees_waits_and_then_joins_the_mean() -> None:
    segment = new_segment()
    segment.hear(A, 0)
    assert segment.hear(B, 100) is None
    np.testing.assert_allclose(segment.decision.confidence, 0.9)
    assert segment.hear(A, 200) is None
    np.testing.assert_allclose(segment.decision.confidence, (0.9 + 0.2 + 0.9) / 3)


def test_unknown_does_not_follow_unknown() -> None:
    segment = Segment(0, ("a", "b"), Calibration(threshold=0.95), 2)
    for start, scores in enumerate((A, B, B)):
        assert segment.hear(scores, start) is None
    assert segment.decision.label is None
    np.testing.assert_allclose(segment.decision.scores["b"], (0.1 + 0.8 + 0.8) / 3)


def test_a_new_label_that_holds_for_the_dwell_starts_where_it_was_first_heard() -> None:
    segment = new_segment(dwell_windows=3)
    segment.hear(A, 0)
    assert segment.hear(B, 100) is None
    assert segment.hear(B, 200) is None
    successor = segment.hear(B, 300)
    assert successor is not None
    assert successor.start == 100
    assert successor.decision.label == "b"
    np.testing.assert_allclose(successor.decision.confidence, 0.8)
    np.testing.assert_allclose(segment.decision.confidence, 0.9)
