"""Intervals over episodes and speakers, and unweighted recall, against values worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime.errors import InputError
from metaser.toolkit.evaluation.intervals import (
    Interval,
    episode_interval,
    interval_over_speakers,
    paired_interval,
    speaker_interval,
    unweighted_recall,
)


def test_the_episode_interval_is_the_mean_and_1_96_standard_errors() -> None:
    """Values 1, 2, 3, 4: mean 2.5, sigma sqrt(5/3), standard error 0.645497."""
    interval = episode_interval([1, 2, 3, 4])
    assert (interval.mean, interval.low, interval.high) == pytest.approx((2.5, 1.234825, 3.765175), abs=1e-6)


def test_a_constant_difference_between_paired_methods_is_decided_with_no_width() -> None:
    interval = paired_interval([0.5, 0.9, 0.7], [0.25, 0.65, 0.45])
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))
    assert interval.excludes_zero


@pytest.mark.parametrize(
    ("interval", "decided"),
    [
        (Interval(0.1, 0.05, 0.15), True),
        (Interval(-0.1, -0.15, -0.05), True),
        (Interval(0.1, -0.05, 0.25), False),
        (Interval(0.0, 0.0, 0.0), False),
    ],
)
def test_a_difference_is_decided_when_its_interval_excludes_zero(interval: Interval, decided: bool) -> None:
    assert interval.excludes_zero is decided


def test_two_speakers_one_always_right_and_one_never_span_everything() -> None:
    """A resample has 0, 1 or 2 of the right speaker with probability 1/4, 1/2, 1/4."""
    interval = speaker_interval([1, 1, 1, 0], ["a", "a", "a", "b"])
    assert interval == Interval(0.75, 0.0, 1.0)


def test_many_queries_of_few_speakers_do_not_narrow_the_speaker_interval() -> None:
    rng = np.random.default_rng(0)
    rates = {"a": 0.4, "b": 0.6, "c": 0.8}
    speakers = np.repeat(list(rates), 2000)
    correct = rng.random(len(speakers)) < [rates[name] for name in speakers.tolist()]
    by_query = episode_interval(correct)
    by_speaker = speaker_interval(correct, speakers)
    assert by_speaker.mean == pytest.approx(by_query.mean)
    assert by_speaker.high - by_speaker.low > 10 * (by_query.high - by_query.low)


QUERIES = st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), min_size=2)


@settings(deadline=None)
@given(QUERIES.filter(lambda queries: len({speaker for _, speaker in queries}) > 1))
def test_the_speaker_interval_lies_between_the_worst_and_the_best_speaker(queries: list[tuple[bool, str]]) -> None:
    correct, speakers = np.array([one for one, _ in queries]), np.array([speaker for _, speaker in queries])
    rates = [correct[speakers == name].mean() for name in np.unique(speakers)]
    interval = speaker_interval(correct, speakers, resamples=200)
    assert min(rates) - 1e-12 <= interval.low <= interval.high <= max(rates) + 1e-12
    assert interval == speaker_interval(correct, speakers, resamples=200)


def test_unweighted_recall_counts_each_class_once() -> None:
    """Anger 3 of 4, joy 0 of 1: mean of 0.75 and 0."""
    targets = ["anger"] * 4 + ["joy"]
    predictions = ["anger", "anger", "anger", "joy", "fear"]
    assert unweighted_recall(targets, predictions) == pytest.approx(0.375)
    assert unweighted_recall([1, 1, 0], [1, 1, 0]) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: episode_interval([0.5]), "at least 2 of them, there are 1"),
        (lambda: episode_interval([[0.5, 0.5]]), r"of shape \(1, 2\): give a flat list"),
        (lambda: paired_interval([1, 2], [1, 2, 3]), r"paired values differ in number: \(2,\) and \(3,\)"),
        (lambda: speaker_interval([1, 0], ["a"]), "query values and speakers differ in number"),
        (lambda: speaker_interval([1, 0], ["a", "a"]), "bootstrap over speakers needs at least 2 of them, there are 1"),
        (lambda: unweighted_recall([1], []), "targets and predictions differ in number"),
        (lambda: unweighted_recall([], []), "at least 1 query, there are 0"),
    ],
)
def test_too_few_or_unequal_values_are_refused_with_the_numbers(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=message):
        call()


def test_one_speaker_or_an_unknown_one_gives_no_interval_over_speakers() -> None:
    values = [1.0, 0.0, 1.0]
    assert interval_over_speakers(values, ["a", "a", "a"]) is None
    assert interval_over_speakers(values, ["a", "b", ""]) is None
    assert interval_over_speakers(values, ["a", "b", "b"]) == speaker_interval(values, ["a", "b", "b"])
