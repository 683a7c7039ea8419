"""The prior of calibration, the accuracy of the expected rates, and how steady the threshold is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.research.enrolment_episodes import (
    CORPORA,
    SPEAKER_SPLITS,
    Draw,
    Floats,
    draws,
    evidence,
    load,
    mean_and_spread,
)
from metaser.runtime import Calibration
from metaser.runtime.arrays import Embeddings
from metaser.runtime.scoring.calibration import (
    LEVELS,
    OWN_SHARE,
    CalibrationPrior,
    accepts,
    calibrate,
    confidence_error,
)
from metaser.runtime.scoring.decision import score, softmax
from metaser.runtime.scoring.leave_one_out import cross_fit
from metaser.toolkit.episodes.sampler import Split

SHOTS = (2, 3, 5, 8)
PRIOR_EPISODES = 100
EPISODES = 200
OTHERS = 30
"""Number of background speech clips, from another corpus; as many others are used as queries."""

WANTED = (None, 0.05, 0.3)
NOISE = 4e-3
"""Relative to an embedding; the cosine to the embedding is then 0.99999, as between x86 and arm64 with int8."""


def measure_prior(corpora: Path, part: Split, calibration: Calibration) -> CalibrationPrior:
    """Distribution of foreign and own clips of unseen speakers relative to left-out clips of a support set.

    Parameters:
        calibration: the calibration for its share of false accepts.
    """
    embedded = [load(corpora, name, part) for name in CORPORA]
    rows: dict[str, list[list[float]]] = {"foreign": [], "own": []}
    false_accepts = []
    for shots in SHOTS:
        sets = [
            draw
            for clips in embedded
            for split in SPEAKER_SPLITS
            for draw in draws(clips, split, shots=shots, classes=4, count=PRIOR_EPISODES)
        ]
        rows["foreign"].append(_quantiles([_relative_cosines(draw, draw.foreign) for draw in sets]))
        rows["own"].append(_quantiles([_relative_cosines(draw, draw.queries[draw.correct]) for draw in sets]))
        scale = evidence(sets[0], None).scale
        false_accepts += [float(np.mean(accepts(draw.foreign, scale, calibration))) for draw in sets]
    return CalibrationPrior(list(SHOTS), rows["foreign"], rows["own"], round(float(np.mean(false_accepts)), 3))


def _relative_cosines(draw: Draw, cosines: Floats) -> Floats:
    return cosines.max(axis=1) - OWN_SHARE * draw.fitted.cosines.max(axis=1).mean()


def _quantiles(values: Sequence[Floats]) -> list[float]:
    return [round(float(value), 4) for value in np.quantile(np.concatenate(values), LEVELS)]


def measure_calibration(corpora: Path, part: Split, prior: CalibrationPrior) -> dict[str, Any]:
    """Expected and measured rates, and the calibration error, on validation or test speakers."""
    embedded = {name: load(corpora, name, part) for name in CORPORA}
    found: dict[str, Any] = {}
    for number, (name, clips) in enumerate(embedded.items()):
        elsewhere = embedded[CORPORA[(number + 1) % len(CORPORA)]].embeddings
        for split in SPEAKER_SPLITS:
            sets = list(draws(clips, split, shots=5, classes=4, count=EPISODES))
            found[f"{name} {split}"] = {
                **{f"wanted {wanted}": rates_of(sets, wanted, prior, None) for wanted in WANTED},
                "wanted 0.05, with other speech": rates_of(sets, 0.05, prior, elsewhere),
                "wanted 0.05, without a prior": rates_of(sets, 0.05, None, None),
                "error of confidence": errors_of(sets, prior),
            }
    for split in SPEAKER_SPLITS:
        own = [figures for key, figures in found.items() if key.endswith(split)]
        found[f"mean {split}"] = mean_of(own)
    return found


def rates_of(
    sets: Sequence[Draw], wanted: float | None, prior: CalibrationPrior | None, elsewhere: Embeddings | None
) -> dict[str, Any]:
    """Expected and measured rates of a calibration."""
    columns: dict[str, list[float]] = {}
    rng = np.random.default_rng(0)
    for draw in sets:
        known = queries = None
        if elsewhere is not None:
            chosen = elsewhere[rng.permutation(len(elsewhere))[: 2 * OTHERS]]
            cosines = draw.classifier.cosines(chosen)
            known, queries = cosines[:OTHERS], cosines[OTHERS:]
        case = evidence(draw, prior, None if known is None else known.max(axis=1))
        calibration, expected = calibrate(case, wanted)
        own = accepts(draw.queries[draw.correct], case.scale, calibration) if draw.correct.any() else np.zeros(1)
        row = {
            "expected false accepts": expected.false_accepts,
            "false accepts": float(np.mean(accepts(draw.foreign, case.scale, calibration))),
            "expected false rejects": expected.false_rejects,
            "false rejects": 1 - float(np.mean(own)),
            "other speech accepted": None
            if queries is None
            else float(np.mean(accepts(queries, case.scale, calibration))),
        }
        for key, value in row.items():
            if value is not None:
                columns.setdefault(key, []).append(value)
    return {key: mean_and_spread(values) for key, values in columns.items()}


def errors_of(sets: Sequence[Draw], prior: CalibrationPrior) -> dict[str, float]:
    """Expected calibration error over all queries, by the bundle's temperature and by each profile's own."""
    found = {}
    for name in ("bundle", "profile"):
        confidences, rights, losses = [], [], []
        for draw in sets:
            case = evidence(draw, prior)
            calibration: Calibration = case.base if name == "bundle" else calibrate(case, None)[0]
            rows = softmax(case.scale / calibration.temperature * draw.queries)
            confidences.append(rows.max(axis=1))
            rights.append(draw.correct)
            losses.append(-np.log(np.maximum(rows[np.arange(len(rows)), draw.targets], 1e-12)))
        error = confidence_error(np.concatenate(confidences), np.concatenate(rights), groups=10)
        found[f"{name}: expected calibration error"] = round(error, 4)
        found[f"{name}: log-loss"] = round(float(np.concatenate(losses).mean()), 4)
    return found


def mean_of(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean over corpora of every figure's mean."""
    return {
        key: {
            name: round(
                float(
                    np.mean([own[key][name]["mean"] if isinstance(value, dict) else own[key][name] for own in figures])
                ),
                4,
            )
            for name, value in entry.items()
        }
        for key, entry in figures[0].items()
    }


def measure_stability(corpora: Path, prior: CalibrationPrior) -> dict[str, Any]:
    """How far noise moves the threshold of profiles of validation speakers, and its effect."""
    rng = np.random.default_rng(0)
    found = {}
    for name in CORPORA:
        embedded = load(corpora, name, "validation")
        for split in SPEAKER_SPLITS:
            sets = draws(embedded, split, shots=5, classes=4, count=EPISODES)
            rows = np.array([_movement(draw, embedded.embeddings, prior, rng) for draw in sets])
            median, near_most, most = np.round(np.quantile(rows[:, 0], [0.5, 0.99, 1]), 5)
            found[f"{name} {split}"] = {
                "movement of the threshold": {"median": median, "99 %": near_most, "max": most},
                "correct answers below it": round(float(np.nanmean(rows[:, 1])), 4),
            }
    return found


def _movement(
    draw: Draw, embeddings: Embeddings, prior: CalibrationPrior, rng: np.random.Generator
) -> tuple[float, float]:
    """How far noise moves the threshold; and the share of correct answers that it makes unknown."""
    case = evidence(draw, prior)
    support = embeddings[draw.support.ravel()]
    deviations = NOISE * np.linalg.norm(support, axis=1, keepdims=True) / support.shape[1] ** 0.5
    moved = (support + deviations * rng.normal(size=support.shape)).astype(np.float32)
    fitted = cross_fit(moved, np.repeat(np.arange(len(draw.support)), draw.support.shape[1]))
    (one, _), (other, _) = (calibrate(each, None) for each in (case, replace(case, fitted=fitted, untuned=fitted)))
    confidence = score(draw.queries[draw.correct], case.scale, one).max(axis=1)
    unknown = float(np.mean(confidence < one.threshold)) if len(confidence) else np.nan
    return abs(one.threshold - other.threshold), unknown
