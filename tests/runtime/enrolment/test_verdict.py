"""The verdict on a profile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.enrolment.verdict import judge, wilson_interval
from metaser.runtime.scoring.leave_one_out import LeftOutScores

LABELS = ("anger", "joy", "sad")


def scores(*correct: list[int]) -> LeftOutScores:
    """Left-out clips by class: 1 if the clip is nearest to its own class, else 0."""
    targets = np.repeat(np.arange(len(correct)), [len(each) for each in correct])
    cosines = np.zeros((len(targets), len(correct)))
    for row, (target, hit) in enumerate(zip(targets, [hit for each in correct for hit in each], strict=True)):
        cosines[row, target if hit else (target + 1) % len(correct)] = 1.0
    return LeftOutScores(cosines, targets, np.arange(len(targets)), np.zeros((len(targets), len(correct) - 1)))


def test_wilson_s_interval_by_hand() -> None:
    """11 of 20 at z = 1.2816: (0.55 + 0.04106 ± 1.2816 · sqrt(0.012375 + 0.001027)) / 1.08212."""
    assert wilson_interval(11, 20) == pytest.approx((0.40915, 0.68332), abs=1e-4)
    low, high = wilson_interval(20, 20)
    assert (low, high) == pytest.approx((0.92412, 1.0), abs=1e-4)


@given(st.integers(1, 60).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_holds_the_share_and_stays_between_0_and_1(case: tuple[int, int]) -> None:
    correct, count = case
    low, high = wilson_interval(correct, count)
    assert -1e-12 <= low <= correct / count + 1e-12
    assert correct / count - 1e-12 <= high <= 1 + 1e-12


def test_seventeen_of_twenty_are_reliable_and_sixteen_are_not() -> None:
    good = judge(scores([1] * 10, [1] * 7 + [0] * 3), LABELS[:2])
    assert (good.level, good.correct, good.clips, good.guessing) == ("reliable", 17, 20, 10)
    assert good.sentence == (
        "17 of 20 clips correct when left out (72 to 93 %); guessing gives 10. "
        "Reliable for these people if each speaks in every class; test it on others."
    )
    assert judge(scores([1] * 10, [1] * 6 + [0] * 4), LABELS[:2]).level == "unreliable"


def test_a_class_that_is_not_learned_is_named() -> None:
    verdict = judge(scores([1] * 5, [1] * 4 + [0], [1, 1, 0, 0, 0]), LABELS)
    assert (verdict.level, verdict.not_learned) == ("unreliable", ("sad",))
    assert (
        "Do not rely on this yet. Not learned: sad. Record clearer clips, or leave the class out." in verdict.sentence
    )


def test_no_class_is_to_be_left_out_if_fewer_than_two_would_stay() -> None:
    both = judge(scores([0] * 5, [1] * 5, [0] * 5), LABELS)
    assert both.sentence.endswith("Not learned: anger and sad. Record clearer clips.")
    none = judge(scores([0] * 5, [1, 1, 0, 0, 0], [0] * 5), LABELS)
    assert none.lines[-1] == "No class is learned. Record clearer clips, or choose classes that sound more different."
    four = judge(scores([0] * 5, [1] * 5, [0] * 5, [1] * 5), (*LABELS, "calm"))
    assert four.sentence.endswith("Not learned: anger and sad. Record clearer clips, or leave them out.")


def test_guessing_is_called_guessing_and_too_few_clips_are_not_judged() -> None:
    assert judge(scores([1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 1]), LABELS).level == "guessing"
    assert judge(scores([1, 1], [1, 1]), LABELS[:2]).level == "untested"
    alone = judge(scores([1] * 6, []), LABELS[:2])
    assert alone.sentence == "Not tested: joy has a single clip. Enrol three or more clips per class."
    both = judge(scores([1] * 6, [], []), LABELS)
    assert both.sentence.startswith("Not tested: joy and sad have only a single clip.")


def test_a_class_without_speech_is_named_and_never_called_reliable() -> None:
    verdict = judge(scores([1] * 10, [1] * 10), LABELS[:2], ["joy"])
    assert (verdict.level, verdict.no_speech) == ("unreliable", ("joy",))
    assert verdict.lines[-1] == ("No speech in joy: a stream labels only speech and never finds this class.")
    few = judge(scores([1], [1]), LABELS[:2], ["anger", "joy"])
    assert few.lines[-1].startswith("No speech in anger and joy: a stream")


def test_a_large_class_does_not_hide_small_ones() -> None:
    found = judge(scores([1] * 40, [1, 1, 0], [1, 1, 0]), LABELS)
    assert (found.correct, found.guessing, found.level, found.weak) == (44, 40, "unreliable", ("joy", "sad"))
    alike = judge(scores([1] * 10, [1] * 10), LABELS[:2])
    assert (alike.low, alike.high) == pytest.approx(wilson_interval(20, 20))


def test_a_class_that_is_less_sure_is_named() -> None:
    found = judge(scores([1] * 8, [1] * 8, [1] * 5 + [0] * 3), LABELS)
    assert (found.level, found.weak) == ("reliable", ("sad",))
    assert found.lines[-1] == "Less sure: sad. Check the labels of these clips, and add some."
