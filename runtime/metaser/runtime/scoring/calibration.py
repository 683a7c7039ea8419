"""Calibration of a profile: temperature, thresholds and expected errors from cross-fitted scores and a prior.

temperature    least log-loss of the left-out clips, held near the bundle's own, or near their spread if the bundle was
               never calibrated
threshold      the confidence that 1 in 20 correct answers misses, held near the bundle's own; a left-out clip counts by
               the probability of its own class. Counting only those that are correct, the rounding of another
               processor moves the threshold wherever a clip lies between two classes
min_cosine     the cosine at which the target share of clips of no enrolled class still gets a label. The prior holds
               such cosines less half the mean of the support set's own left-out clips:

    cosine to the nearest prototype   ---foreign clips---|--left-out clips---
                                            min_cosine --^  mean / 2 + quantile of the prior

               Half the mean was better than none and all of it on corpora that the model never heard: with none
               the rate changes from corpus to corpus, with all of it profiles vary more than their clips do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from metaser.runtime.scoring.decision import COSINES, Calibration, score, softmax
from metaser.runtime.scoring.leave_one_out import LeftOutScores

Floats = npt.NDArray[np.float64]

LEVELS = (*(level / 20 for level in range(20)), 0.98, 0.99, 1.0)
"""The levels of the prior's quantiles."""

STRICT_FALSE_ACCEPTS = 0.05
"""The false accept rate of `--unknown strict`, and of `calibrate` if no rate was given."""

FALSE_REJECTS = 0.05
"""The share of correct answers that the confidence threshold may turn into unknown."""

TEMPERATURE_WEIGHT = 10.0
"""Weight of the prior on the temperature: its logarithm has a standard deviation of 1 at this many clips."""

PRIOR_CLIPS = 20.0
"""The prior's weight in thresholds and expected rates, in clips of the support set."""

OWN_SHARE = 0.5
"""The share of the left-out clips' mean cosine that a distance threshold follows."""

MIN_LEFT_OUT = 4
"""With fewer clips that can be left out there is no distance threshold."""

SPREAD_LOGITS = 3.0
"""Standard deviation of a clip's logits for a bundle that was never calibrated."""

ERROR_GROUPS = 4
ROUNDING = 1e-9
"""Tolerance: the cosine of a clip may differ, by much less, when it is computed alone or among others."""


@dataclass(frozen=True)
class CalibrationPrior:
    """Cosines of clips relative to the left-out clips of a support set, measured on unseen speakers for a bundle.

    Each row holds quantiles at `LEVELS` of the cosine to the nearest prototype, less half the mean of the support set's
    own left-out clips.
    """

    shots: list[int]
    """Clips per class of each row."""

    foreign: list[list[float]]
    """Quantiles for clips of classes that were not enrolled."""

    own: list[list[float]]
    """Quantiles for clips with a correct predicted label."""

    false_accepts: float
    """The share of foreign clips that the bundle's confidence threshold alone lets through."""

    def nearest(self, shots: float) -> int:
        """The row for this number of clips per class."""
        return min(range(len(self.shots)), key=lambda row: abs(self.shots[row] - shots))

    @property
    def is_valid(self) -> bool:
        """Whether the number of values is correct, and all are finite and in order."""
        try:
            rows = np.array([self.foreign, self.own], dtype=np.float64)
            rates = np.array([*self.shots, self.false_accepts], dtype=np.float64)
        except (TypeError, ValueError):
            return False
        fits = rows.shape == (2, len(self.shots), len(LEVELS)) and len(self.shots) > 0
        return bool(fits and np.isfinite(rows).all() and np.isfinite(rates).all() and (np.diff(rows) >= 0).all())


@dataclass(frozen=True)
class ExpectedRates:
    """Expected rates of a profile's answers; None if the support set is too small."""

    wanted_false_accepts: float | None = None
    """The rate given to `metaser calibrate`; None: only doubtful answers are unknown."""

    false_accepts: float | None = None
    """The false accept rate: the share of clips of classes that are not enrolled that get a label."""

    false_rejects: float | None = None
    """The false reject rate: the share of correct answers that become unknown."""

    strict_false_accepts: float | None = None
    strict_false_rejects: float | None = None
    others_accepted: float | None = None
    """The share of the other speech and noise given to `metaser calibrate` that gets a label."""

    confidence_error: float | None = None
    """Expected calibration error on left-out clips: the difference of confidence and accuracy."""


@dataclass(frozen=True, eq=False)
class CalibrationInputs:
    """The inputs of a calibration."""

    fitted: LeftOutScores
    untuned: LeftOutScores
    """By the bundle's own head, to which the prior belongs; `fitted` itself if the head is not tuned."""

    shots: float
    """Clips per class, the median."""

    others: Floats
    """[O], the cosine of each clip of other speech and noise to the nearest prototype."""

    scale: float
    base: Calibration
    """The bundle's own."""

    prior: CalibrationPrior | None


def calibrate(evidence: CalibrationInputs, wanted_false_accepts: float | None) -> tuple[Calibration, ExpectedRates]:
    """The calibration of a profile, and its expected rates."""
    fitted, base = evidence.fitted, evidence.base
    if len(fitted.rows) < MIN_LEFT_OUT:
        return base, ExpectedRates(wanted_false_accepts)
    start = base.temperature if base != Calibration() else spread_temperature(fitted, evidence.scale)
    temperature = fit_temperature(fitted, evidence.scale, start)
    rows = softmax(evidence.scale / temperature * fitted.cosines)
    confidence, correct = rows.max(axis=1), rows[np.arange(len(rows)), fitted.targets]
    threshold = _blend(weighted_quantile(confidence, correct, FALSE_REJECTS), correct.sum(), base.threshold)
    strict = max(_floor(evidence, STRICT_FALSE_ACCEPTS), _others_floor(evidence, STRICT_FALSE_ACCEPTS))
    floor = -1.0 if wanted_false_accepts is None else _floor(evidence, wanted_false_accepts)
    others_rate = STRICT_FALSE_ACCEPTS if wanted_false_accepts is None else wanted_false_accepts
    floor = max(floor, _others_floor(evidence, others_rate))
    floor = min(floor, COSINES[1])
    calibration = Calibration(temperature, threshold, base.margin, floor, min(max(strict, floor), COSINES[1]))
    accepted, rejected = expected_rates(evidence, calibration)
    strictly = replace(calibration, min_cosine=calibration.strict_cosine)
    strictly_accepted, strictly_rejected = expected_rates(evidence, strictly)
    others = float(np.mean(evidence.others >= floor)) if len(evidence.others) else None
    error = confidence_error(confidence, fitted.correct)
    return calibration, ExpectedRates(
        wanted_false_accepts, accepted, rejected, strictly_accepted, strictly_rejected, others, error
    )


def weighted_quantile(values: Floats, weights: Floats, level: float) -> float:
    """The quantile of [N] values with [N] weights; with equal weights it is numpy's linear one.

    It is the mean of the values in a window as wide as the mean weight, itself weighted, so that a value whose weight
    goes to 0 leaves without a step (ours).
    """
    order = np.argsort(values)
    above = np.cumsum(weights[order])
    width = float(weights @ weights) / max(float(above[-1]), np.finfo(np.float64).tiny)
    start = level * (above[-1] - width)
    inside = np.clip(np.minimum(above, start + width) - np.maximum(above - weights[order], start), 0, None)
    return float(inside @ values[order] / max(inside.sum(), np.finfo(np.float64).tiny))


def fit_temperature(fitted: LeftOutScores, scale: float, prior: float) -> float:
    """The temperature of least log-loss on the left-out clips, with a penalty on its distance to the prior."""

    def loss(temperature: float) -> float:
        rows = softmax(scale / temperature * fitted.cosines)
        likelihood = np.maximum(rows[np.arange(len(rows)), fitted.targets], np.finfo(np.float64).tiny)
        return float(TEMPERATURE_WEIGHT / 2 * np.log(temperature / prior) ** 2 - np.log(likelihood).sum())

    candidates = prior * np.exp(np.linspace(-2, 2, 161))  # 2.5 % apart
    losses = np.array([loss(candidate) for candidate in candidates])
    best = min(max(int(losses.argmin()), 1), len(candidates) - 2)
    # the minimum of a parabola through three losses: rounding, e.g. on another processor, does not move it by a step
    below, least, above = losses[best - 1 : best + 2]
    steps = (below - above) / (2 * max(below - 2 * least + above, np.finfo(np.float64).tiny))
    return float(candidates[best] * np.exp(np.clip(steps, -1, 1) * np.log(candidates[1] / candidates[0])))


def spread_temperature(fitted: LeftOutScores, scale: float) -> float:
    """The prior for a bundle without calibration: cosines of a clip to the classes deviate by three logits (ours)."""
    deviation = float(fitted.cosines.std(axis=1).mean())
    return scale * deviation / SPREAD_LOGITS if deviation > ROUNDING else 1.0


def expected_rates(evidence: CalibrationInputs, calibration: Calibration) -> tuple[float, float]:
    """Expected false accepts and false rejects: the support set's own, held near the prior's."""
    fitted = evidence.fitted
    accepted = float(np.mean(accepts(fitted.others, evidence.scale, calibration)))
    own = fitted.cosines[fitted.correct]
    rejected = 1 - float(np.mean(accepts(own, evidence.scale, calibration))) if len(own) else 1.0
    prior = evidence.prior
    if prior is None:
        return accepted, rejected
    row = prior.nearest(evidence.shots)
    untuned = _nearest(evidence.untuned)
    place = _moved(calibration.min_cosine, _nearest(fitted), untuned) - OWN_SHARE * untuned.mean()
    below_foreign, below_own = (float(np.interp(place, each[row], LEVELS)) for each in (prior.foreign, prior.own))
    return (
        _blend(accepted, len(fitted.others), min(prior.false_accepts, 1 - below_foreign)),
        _blend(rejected, len(own), max(FALSE_REJECTS, below_own)),
    )


def confidence_error(confidence: Floats, correct: npt.NDArray[np.bool_], groups: int = ERROR_GROUPS) -> float:
    """Expected calibration error (Guo et al., arXiv 1706.04599) over a few groups of equal size."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(groups, len(order)))
    gaps = [len(group) * abs(float(confidence[group].mean() - correct[group].mean())) for group in parts]
    return sum(gaps) / len(order)


def accepts(cosines: Floats, scale: float, calibration: Calibration) -> npt.NDArray[np.bool_]:
    """[B, C] -> [B] whether a clip gets a label."""
    best = score(cosines, scale, calibration)
    runner_up = np.sort(best, axis=1)[:, -2] if best.shape[1] > 1 else np.zeros(len(best))
    top = best.max(axis=1)
    familiar = cosines.max(axis=1) >= calibration.min_cosine
    accepted: npt.NDArray[np.bool_] = (
        familiar & (top >= calibration.threshold) & (top - runner_up >= calibration.margin)
    )
    return accepted


def _nearest(fitted: LeftOutScores) -> Floats:
    return fitted.cosines.max(axis=1)


def _floor(evidence: CalibrationInputs, rate: float) -> float:
    """The cosine that this share of clips of no enrolled class reaches or exceeds."""
    prior = evidence.prior
    if prior is None:
        return float(np.quantile(evidence.fitted.others.max(axis=1), 1 - rate))
    quantiles = prior.foreign[prior.nearest(evidence.shots)]
    untuned = _nearest(evidence.untuned)
    floor = OWN_SHARE * untuned.mean() + np.interp(1 - rate, LEVELS, quantiles)
    return float(max(-1.0, _moved(floor, untuned, _nearest(evidence.fitted))))


def _moved(cosine: float, nearest: Floats, to: Floats) -> float:
    """The cosine at the same place among other left-out clips, in their standard deviations from their mean."""
    if nearest is to or np.array_equal(nearest, to):
        return cosine
    return float(to.mean() + (cosine - nearest.mean()) * to.std() / max(nearest.std(), ROUNDING))


def _others_floor(evidence: CalibrationInputs, rate: float) -> float:
    """The cosine that at most this share of the other speech and noise reaches; -1 if none was given."""
    others = np.sort(evidence.others)
    if not len(others):
        return -1.0
    allowed = int(rate * len(others))
    return -1.0 if allowed == len(others) else float(others[-1 - allowed]) + ROUNDING


def _blend(measured: float, clips: float, prior: float) -> float:
    return float((clips * measured + PRIOR_CLIPS * prior) / (clips + PRIOR_CLIPS))
