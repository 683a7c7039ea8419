"""Temperature, thresholds and expected errors from clips that were left out, and a prior."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime import Calibration
from metaser.runtime.scoring.calibration import (
    LEVELS,
    CalibrationInputs,
    CalibrationPrior,
    ExpectedRates,
    accepts,
    calibrate,
    confidence_error,
    fit_temperature,
    spread_temperature,
    weighted_quantile,
)
from metaser.runtime.scoring.decision import decide, score, softmax
from metaser.runtime.scoring.leave_one_out import LeftOutScores, fitted_by_fold

BASE = Calibration(temperature=0.5, threshold=0.4)
FOREIGN = [-0.4 + level for level in LEVELS]
OWN = [-0.15 + level for level in LEVELS]
PRIOR = CalibrationPrior(shots=[1, 5], foreign=[[0.0] * len(LEVELS), FOREIGN], own=[OWN, OWN], false_accepts=0.9)


def evidence_of(cosines: list[list[float]], targets: list[int], others: list[float] | None = None) -> CalibrationInputs:
    fitted = fitted_by_fold(np.array(cosines), np.array(targets), len(cosines[0]))
    return CalibrationInputs(fitted, fitted, shots=5, others=np.array(others or []), scale=1.0, base=BASE, prior=PRIOR)


EVIDENCE = evidence_of([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]], [0, 0, 1, 1])


def loss(fitted: LeftOutScores, temperature: float) -> float:
    """Log-loss with the pull to a prior of 0.5, written out clip by clip."""
    total = 5 * np.log(temperature / 0.5) ** 2
    for row, target in zip(fitted.cosines, fitted.targets, strict=True):
        total -= np.log(np.exp(row[target] / temperature) / np.exp(row / temperature).sum())
    return float(total)


def test_the_threshold_moves_no_further_than_a_clip_between_two_classes() -> None:
    """The least sure clip passes from one class to the other, as it may on another processor."""
    found = [
        calibrate(
            evidence_of([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]] * 5 + [[0.5 + off, 0.5 - off]], [0, 0, 1] * 5 + [0]), None
        )
        for off in np.linspace(-0.02, 0.02, 81)
    ]
    thresholds = [calibration.threshold for calibration, _ in found]
    assert np.abs(np.diff(thresholds)).max() < 0.002


WEIGHTED = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=2, max_size=20)


@given(WEIGHTED, st.floats(0, 1), st.floats(0, 1))
def test_a_weighted_quantile_is_numpys_and_loses_a_value_gradually(
    pairs: list[tuple[float, float]], level: float, value: float
) -> None:
    values, weights = np.array(pairs).T
    ones = np.ones(len(values))
    assert weighted_quantile(values, ones, level) == pytest.approx(np.quantile(values, level), abs=1e-9)
    without = weighted_quantile(values, weights, level)
    assert weighted_quantile(np.append(values, value), np.append(weights, 1e-6), level) == pytest.approx(
        without, abs=1e-3
    )
    assert values.min() - 1e-9 <= without <= values.max() + 1e-9


def test_a_weighted_quantile_by_hand() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 0.5, 1.0])  # a window of 2.25 / 2.5 = 0.9
    assert weighted_quantile(values, weights, 0.0) == pytest.approx((0.5 * 1 + 0.4 * 2) / 0.9)
    assert weighted_quantile(values, weights, 0.5) == pytest.approx((0.7 * 2 + 0.2 * 3) / 0.9)  # from 0.8 to 1.7
    assert weighted_quantile(values, 0.1 * weights, 0.5) == pytest.approx(weighted_quantile(values, weights, 0.5))
    assert weighted_quantile(values, 0.0 * weights, 0.5) == 0


def test_clips_that_say_nothing_leave_the_temperature_of_the_prior() -> None:
    found = fit_temperature(evidence_of([[0.5, 0.5]] * 6, [0, 1] * 3).fitted, 1.0, 0.5)
    assert found == pytest.approx(0.5, rel=1e-9)


def test_the_temperature_moves_no_further_than_the_cosines() -> None:
    """Embeddings differ a little between processors; the temperature has no grid that would make more of that."""
    cosines = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]] * 5)
    found = [
        fit_temperature(evidence_of((cosines * (1 + share)).tolist(), [0, 0, 1, 1] * 5).fitted, 3.0, 0.5)
        for share in np.linspace(0, 0.3, 101)
    ]
    assert np.abs(np.diff(np.log(found))).max() < 0.002


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_no_other_temperature_has_less_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fitted = fitted_by_fold(rng.uniform(-1, 1, (12, 3)), rng.integers(0, 3, 12), 3)
    found = fit_temperature(fitted, 1.0, 0.5)
    assert loss(fitted, found) <= min(loss(fitted, t) for t in np.geomspace(0.1, 2.5, 40)) + 1e-2


def test_clips_that_are_all_right_make_it_surer_and_wrong_ones_less_sure() -> None:
    correct = fit_temperature(evidence_of([[0.9, 0.1]] * 20, [0] * 20).fitted, 1.0, 0.5)
    wrong = fit_temperature(evidence_of([[0.9, 0.1]] * 20, [0, 1] * 10).fitted, 1.0, 0.5)
    assert correct < 0.5 < wrong


def test_a_bundle_without_a_calibration_starts_from_the_spread_of_the_cosines() -> None:
    near = evidence_of([[0.99, 0.98], [0.985, 0.975], [0.98, 0.99], [0.97, 0.98]] * 2, [0, 0, 1, 1] * 2)
    start = spread_temperature(near.fitted, 10.0)
    assert start == pytest.approx(10 * 0.005 / 3)  # each clip's two cosines deviate by 0.005
    uncalibrated = replace(near, base=Calibration(), prior=None, scale=10.0)
    found, _ = calibrate(uncalibrated, None)
    assert found.temperature == fit_temperature(near.fitted, 10.0, start)
    assert softmax(10 / found.temperature * near.fitted.cosines).max(axis=1).min() > 0.9  # not one half for each
    assert calibrate(replace(uncalibrated, base=BASE), None)[0].temperature == fit_temperature(near.fitted, 10.0, 0.5)


def test_cosines_that_are_all_alike_start_from_one() -> None:
    assert spread_temperature(evidence_of([[0.5, 0.5]] * 6, [0, 1] * 3).fitted, 10.0) == 1.0


def test_the_threshold_is_a_low_quantile_of_right_answers_held_near_the_bundles() -> None:
    calibration, _ = calibrate(EVIDENCE, None)
    differences = np.array([0.2, 0.4, 0.6, 0.8])  # own class less the other
    correct = 1 / (1 + np.exp(-differences / calibration.temperature))  # all are: their confidence too
    width = (correct**2).sum() / correct.sum()
    start = 0.05 * (correct.sum() - width)
    lowest = ((correct[0] - start) * correct[0] + (width - correct[0] + start) * correct[1]) / width
    expected = (correct.sum() * lowest + 20 * 0.4) / (correct.sum() + 20)
    assert calibration.threshold == pytest.approx(expected, rel=1e-9)
    assert calibration.min_cosine == -1.0


def test_a_wanted_rate_sets_the_cosine_by_the_priors_quantile() -> None:
    calibration, reliability = calibrate(EVIDENCE, 0.25)
    half = np.mean([0.9, 0.7, 0.8, 0.6]) / 2
    assert calibration.min_cosine == pytest.approx(half + 0.35)  # -0.4 + 0.75
    assert calibration.strict_cosine == pytest.approx(half + 0.55)  # -0.4 + 0.95
    assert reliability.wanted_false_accepts == 0.25


def test_a_tuned_heads_cosine_has_the_place_of_the_untuned_one_among_the_left_out_clips() -> None:
    wide = evidence_of([[0.6, -1.0], [0.2, -0.6], [-0.8, 0.4], [-0.4, 0.0]], [0, 0, 1, 1])  # 2 x - 1.2
    tuned = replace(EVIDENCE, fitted=wide.fitted)
    untuned, expected = calibrate(EVIDENCE, 0.25)
    calibration, reliability = calibrate(tuned, 0.25)
    assert calibration.min_cosine == pytest.approx(2 * untuned.min_cosine - 1.2)
    assert reliability.false_rejects == pytest.approx(expected.false_rejects)


def test_expected_rates_are_those_of_the_clips_held_near_the_priors() -> None:
    _, reliability = calibrate(EVIDENCE, 0.25)
    assert reliability.false_accepts == pytest.approx((4 * 0 + 20 * 0.25) / 24)  # of 0.1, 0.3, 0.2 and 0.4 none passes
    assert reliability.false_rejects == pytest.approx(
        (4 * 0.5 + 20 * 0.5) / 24
    )  # 0.7 and 0.6 are below; own: -0.15 + 0.5


def test_without_a_prior_the_support_set_speaks_for_itself() -> None:
    calibration, reliability = calibrate(replace(EVIDENCE, prior=None), 0.5)
    assert calibration.min_cosine == pytest.approx(np.quantile([0.1, 0.3, 0.2, 0.4], 0.5))
    assert reliability.false_accepts == pytest.approx(0.5)
    assert reliability.false_rejects == 0.0


def test_too_few_clips_leave_the_bundles_calibration_and_promise_nothing() -> None:
    few = evidence_of([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], [0, 0, 1])
    assert calibrate(few, 0.1) == (BASE, ExpectedRates(0.1))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(0.01, 0.99))
@settings(deadline=None)
def test_no_more_of_the_other_speech_passes_than_was_wanted(others: list[float], rate: float) -> None:
    calibration, reliability = calibrate(replace(EVIDENCE, others=np.array(others)), rate)
    passed = np.mean(np.array(others) >= calibration.min_cosine)
    assert reliability.others_accepted == passed <= rate


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
@settings(deadline=None)
def test_fewer_false_accepts_never_mean_fewer_false_rejects(one: float, other: float) -> None:
    fewer, more = (calibrate(EVIDENCE, rate)[1] for rate in sorted((one, other)))
    assert fewer.false_accepts is not None
    assert more.false_accepts is not None
    assert fewer.false_rejects is not None
    assert more.false_rejects is not None
    assert fewer.false_accepts <= more.false_accepts
    assert fewer.false_rejects >= more.false_rejects


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=8),
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.floats(-1, 1),
)
def test_accepting_is_what_the_decision_does(
    rows: list[list[float]], threshold: float, margin: float, min_cosine: float
) -> None:
    calibration = Calibration(0.5, threshold, margin, min_cosine)
    cosines = np.array(rows)
    labels = [decide(row, ("a", "b", "c"), calibration).label for row in score(cosines, 2.0, calibration)]
    by_sums = accepts(cosines, 2.0, calibration)
    for accepted, label, row in zip(by_sums, labels, score(cosines, 2.0, calibration), strict=True):
        best, second = np.sort(row / row.sum())[::-1][:2]
        near = abs(best - threshold) < 1e-9 or abs(best - second - margin) < 1e-9  # rounding may go either way
        assert near or accepted == (label is not None)


def test_the_error_of_confidence_is_its_distance_to_the_share_of_right_answers() -> None:
    confidence, correct = np.array([0.9, 0.6, 0.9, 0.6]), np.array([True, True, True, False])
    assert confidence_error(confidence, correct, groups=2) == pytest.approx((2 * 0.1 + 2 * 0.1) / 4)
    assert confidence_error(np.array([1.0]), np.array([False])) == 1.0


@pytest.mark.parametrize(("shots", "row"), [(1, 0), (2.5, 0), (4, 1), (20, 1)])
def test_the_prior_of_the_nearest_number_of_shots_is_taken(shots: float, row: int) -> None:
    assert PRIOR.nearest(shots) == row


@pytest.mark.parametrize(
    "broken",
    [
        replace(PRIOR, foreign=[FOREIGN]),
        replace(PRIOR, own=[OWN, OWN[::-1]]),
        replace(PRIOR, foreign=[FOREIGN, [float("nan")] * len(LEVELS)]),
        replace(PRIOR, shots=[], foreign=[], own=[]),
        replace(PRIOR, false_accepts=float("inf")),
        replace(PRIOR, own="none"),  # type: ignore[arg-type] # a file may hold anything
    ],
)
def test_a_prior_that_is_not_in_order_is_not_sound(broken: CalibrationPrior) -> None:
    assert PRIOR.is_valid
    assert not broken.is_valid
