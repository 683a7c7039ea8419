"""Agreement of predicted spans with the true ones."""

import pytest

from metaser.cli.view.spans import Span, heard_during, share_right, span_at

TRUTH = [Span("anger", 0.0, 4.0), Span("joy", 5.0, 7.0)]


def test_the_share_counts_the_time_with_the_correct_label() -> None:
    heard = [Span("anger", 1.0, 4.5), Span("joy", 4.5, 6.0), Span("anger", 6.0, 7.0)]
    assert share_right(TRUTH, heard) == pytest.approx((3.0 + 1.0) / 6.0)


@pytest.mark.parametrize("heard", [[], [Span(None, 0.0, 7.0)], [Span("joy", 0.0, 4.0)]])
def test_silence_unknown_and_wrong_labels_count_nothing(heard: list[Span]) -> None:
    assert share_right(TRUTH, heard) == 0


def test_the_truth_itself_is_all_right() -> None:
    assert share_right(TRUTH, TRUTH) == 1


def test_no_truth_is_a_share_of_nothing() -> None:
    assert share_right([], TRUTH) == 0


def test_an_utterance_is_answered_by_the_span_that_fills_most_of_it() -> None:
    short, long = Span("joy", 0.0, 1.0), Span("anger", 1.0, 3.0)
    assert heard_during(TRUTH[0], [short, long]) == long


def test_an_undetected_utterance_has_no_answer() -> None:
    assert heard_during(TRUTH[1], [Span("joy", 0.0, 5.0)]) is None


@pytest.mark.parametrize(("time_s", "label"), [(0.0, "anger"), (3.9, "anger"), (4.0, None), (5.0, "joy"), (7.0, None)])
def test_a_span_runs_from_its_start_up_to_its_end(time_s: float, label: str | None) -> None:
    span = span_at(time_s, TRUTH)
    assert (span.label if span else None) == label
