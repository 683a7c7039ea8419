"""Temperature, thresholds and expected rates: by hand, by simulation and at the edges."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime import Calibration, Engine, InputError, Profile, ProfileError
from metaser.runtime.calibration import (
    LEVELS,
    CalibrationPrior,
    Evidence,
    accepts,
    calibrate,
    confidence_error,
    expected_rates,
    fit_temperature,
)
from metaser.runtime.cross_fitting import cross_fit
from metaser.runtime.decision import softmax

BASE = Calibration(temperature=0.05, threshold=0.3)


def evidence(shots: int = 5, seed: int = 0, prior: CalibrationPrior | None = None, noise: float = 1.0) -> Evidence:
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(4), shots)
    embeddings = (3 * np.eye(4, 8)[targets] + noise * rng.standard_normal((len(targets), 8))).astype(np.float32)
    return Evidence(cross_fit(embeddings, targets), shots, np.zeros(0), 1.0, BASE, prior)


def test_the_error_of_confidence_by_hand() -> None:
    confidence = np.array([0.5, 0.5, 0.9, 0.9])
    right = np.array([True, False, True, True])
    assert confidence_error(confidence, right, groups=2) == pytest.approx(0.5 * 0.0 + 0.5 * 0.1)


@given(st.integers(0, 1000))
def test_the_fitted_temperature_is_never_worse_than_the_priors(seed: int) -> None:
    fitted = evidence(seed=seed).fitted

    def penalised(temperature: float) -> float:
        rows = softmax(fitted.cosines / temperature)
        likelihood = rows[np.arange(len(rows)), fitted.targets]
        return float(5 * np.log(temperature / BASE.temperature) ** 2 - np.log(likelihood).sum())

    assert penalised(fit_temperature(fitted, 1.0, BASE.temperature)) <= penalised(BASE.temperature) + 1e-9


def test_overconfident_scores_are_cooled() -> None:
    assert fit_temperature(evidence(noise=4.0).fitted, 1.0, BASE.temperature) > BASE.temperature


def test_a_label_needs_confidence_margin_and_likeness() -> None:
    cosines = np.array([[0.9, 0.1], [0.5, 0.49], [0.2, -0.9]])
    assert accepts(cosines, 1.0, Calibration(0.1)).tolist() == [True, True, True]
    assert accepts(cosines, 1.0, Calibration(0.1, threshold=0.6)).tolist() == [True, False, True]
    assert accepts(cosines, 1.0, Calibration(0.1, margin=0.1)).tolist() == [True, False, True]
    assert accepts(cosines, 1.0, Calibration(0.1, min_cosine=0.4)).tolist() == [True, True, False]


def test_fewer_wanted_false_accepts_are_more_false_rejects() -> None:
    given = evidence()
    found = [calibrate(given, rate) for rate in (None, 0.5, 0.2, 0.05)]
    floors = [calibration.min_cosine for calibration, _ in found]
    accepted = [reliability.false_accepts or 0.0 for _, reliability in found]
    rejected = [reliability.false_rejects or 0.0 for _, reliability in found]
    assert floors == sorted(floors)
    assert floors[0] == -1
    assert accepted == sorted(accepted, reverse=True)
    assert rejected == sorted(rejected)


def test_without_a_prior_the_expected_rates_are_those_of_the_clips() -> None:
    given = evidence()
    calibration = replace(BASE, min_cosine=0.5)
    accepted, rejected = expected_rates(given, calibration)
    assert accepted == np.mean(accepts(given.fitted.others, 1.0, calibration))
    own = given.fitted.cosines[given.fitted.right]
    assert rejected == pytest.approx(1 - np.mean(accepts(own, 1.0, calibration)))


def test_a_prior_is_worth_twenty_clips() -> None:
    levels = len(LEVELS)
    prior = CalibrationPrior([5], [[-5.0] * levels], [[5.0] * levels], false_accepts=0.0)
    given = evidence(prior=prior)
    own, _ = expected_rates(replace(given, prior=None), BASE)
    accepted, _ = expected_rates(given, BASE)
    clips = len(given.fitted.others)
    assert accepted == pytest.approx(clips * own / (clips + 20))


@pytest.mark.parametrize(
    "broken",
    [{"shots": []}, {"foreign": [[1.0]]}, {"foreign": [[float("nan")] * len(LEVELS)]}, {"false_accepts": "many"}],
)
def test_a_damaged_prior_is_noticed(broken: dict[str, object]) -> None:
    row = [float(level) for level in range(len(LEVELS))]
    whole = CalibrationPrior([5], [row], [row], 0.5)
    assert whole.is_sound
    assert not replace(whole, **broken).is_sound  # type: ignore[arg-type]


def test_single_clips_keep_the_bundles_own_calibration() -> None:
    calibration, reliability = calibrate(evidence(shots=1), None)
    assert calibration == BASE
    assert reliability.false_accepts is None


def test_unknown_can_be_switched_off_and_made_strict(engine: Engine, profile: Profile) -> None:
    assert profile.answering("calibrated") is profile
    off, strict = profile.answering("off").calibration, profile.answering("strict").calibration
    assert (off.threshold, off.margin, off.min_cosine) == (0, 0, -1)
    assert strict.min_cosine == profile.calibration.strict_cosine > -1
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 32_000).astype(np.float32)
    assert engine.classify(noise, profile.answering("strict")).label is None
    assert engine.classify(noise, profile.answering("off")).label is not None


def test_a_rate_must_be_a_share(engine: Engine, profile: Profile) -> None:
    for rate in (0.0, 1.0, -0.1, 5.0):
        with pytest.raises(InputError, match="give one between 0 and 1"):
            engine.calibrate(profile, false_accepts=rate)


def test_a_tuned_head_cannot_be_calibrated(engine: Engine, profile: Profile) -> None:
    tuned = engine.adapt(profile, force=True).profile
    assert tuned.calibration.min_cosine == -1
    with pytest.raises(ProfileError, match="enrol again without --adapt"):
        engine.calibrate(tuned)
    with pytest.raises(ProfileError, match="does not know how near is near"):
        tuned.answering("strict")
