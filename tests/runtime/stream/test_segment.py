"""When a label changes inside an utterance and when it does not, by cases worked out by hand."""

import numpy as np

from metaser.runtime.scoring.decision import Calibration
from metaser.runtime.stream.segment import Scores, Segment, SegmentRules, Window

A, B = np.array([0.9, 0.1]), np.array([0.2, 0.8])


def new_segment(calibration: Calibration | None = None, dwell_windows: int = 3, leave_share: float = 1.0) -> Segment:
    return Segment(0, SegmentRules(("a", "b"), calibration or Calibration(), dwell_windows, leave_share))


def slide(segment: Segment, *windows: Scores) -> list[Segment | None]:
    """Process windows that each start 100 samples after the one before."""
    return [segment.hear(Window(scores, 100 * index, 100 * index)) for index, scores in enumerate(windows)]


def test_a_window_that_still_reaches_back_to_the_start_replaces_the_one_before() -> None:
    segment = new_segment()
    for scores in (A, B):
        assert segment.hear(Window(scores, 0, 0)) is None
    assert segment.decision.label == "b"
    np.testing.assert_allclose(segment.decision.confidence, 0.8)


def test_the_label_is_that_of_the_mean_score() -> None:
    segment = new_segment()
    assert slide(segment, A, A, np.array([0.6, 0.4])) == [None] * 3
    assert segment.decision.label == "a"
    np.testing.assert_allclose(segment.decision.confidence, (0.9 + 0.9 + 0.6) / 3)


def test_a_window_that_disagrees_waits_and_then_joins_the_mean() -> None:
    segment = new_segment()
    slide(segment, A, B)
    np.testing.assert_allclose(segment.decision.confidence, 0.9)
    assert segment.hear(Window(A, 200, 200)) is None
    np.testing.assert_allclose(segment.decision.confidence, (0.9 + 0.2 + 0.9) / 3)


def test_unknown_does_not_follow_unknown() -> None:
    segment = new_segment(Calibration(threshold=0.95), dwell_windows=2)
    assert slide(segment, A, B, B) == [None] * 3
    assert segment.decision.label is None
    np.testing.assert_allclose(segment.decision.scores["b"], (0.1 + 0.8 + 0.8) / 3)


def test_a_label_that_was_given_stays_a_little_below_the_threshold_and_no_further() -> None:
    segment = new_segment(Calibration(threshold=0.85), leave_share=0.8)
    labels = []
    for score in (0.84, 0.9, 0.7, 0.66, 0.84):  # it enters at 0.85 and leaves below 0.68
        segment.hear(Window(np.array([score, 1 - score]), 0, 0))
        labels.append(segment.decision.label)
    assert labels == [None, "a", "a", None, None]


def test_a_new_label_that_holds_for_the_dwell_starts_where_it_was_first_heard() -> None:
    segment = new_segment()
    *waiting, successor = slide(segment, A, B, B, B)
    assert waiting == [None] * 3
    assert successor is not None
    assert successor.start == 100
    assert successor.decision.label == "b"
    np.testing.assert_allclose(successor.decision.confidence, 0.8)
    np.testing.assert_allclose(segment.decision.confidence, 0.9)


def test_windows_that_still_wait_when_the_utterance_ends_lower_the_confidence_and_change_no_label() -> None:
    segment = new_segment()
    slide(segment, A, B, B)
    np.testing.assert_allclose(segment.decision.confidence, 0.9)
    final = segment.close()
    assert final.label == "a"
    np.testing.assert_allclose(final.confidence, (0.9 + 0.2 + 0.2) / 3)
    np.testing.assert_allclose(final.scores["b"], (0.1 + 0.8 + 0.8) / 3)


def test_an_unknown_segment_ends_unknown_with_the_confidence_of_the_best_class() -> None:
    segment = new_segment(Calibration(threshold=0.95))
    slide(segment, A, B, B)
    final = segment.close()
    assert final.label is None
    np.testing.assert_allclose(final.confidence, (0.1 + 0.8 + 0.8) / 3)


def test_a_window_between_two_labels_weighs_the_same_whichever_it_says() -> None:
    """Its scores differ only by rounding, as on another processor."""
    confidences = []
    for nudge in (1e-6, -1e-6):
        segment = new_segment()
        slide(segment, A, np.array([0.5 + nudge, 0.5 - nudge]), B)
        confidences.append(segment.close().confidence)
    np.testing.assert_allclose(confidences, (0.9 + 0.5 + 0.2) / 3, atol=1e-6)
