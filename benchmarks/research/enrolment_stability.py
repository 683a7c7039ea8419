"""How far the threshold of a profile moves if the embeddings are rounded otherwise, as on another processor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.research.enrolment_episodes import CORPORA, SPEAKER_SPLITS, Draw, draws, evidence, load
from metaser.runtime.arrays import Embeddings
from metaser.runtime.scoring.calibration import CalibrationPrior, calibrate
from metaser.runtime.scoring.decision import score
from metaser.runtime.scoring.leave_one_out import cross_fit

NOISE = 4e-3
"""Relative to an embedding; the cosine to the embedding is then 0.99999, as between x86 and arm64 with int8."""

EPISODES = 200


def measure_stability(corpora: Path, prior: CalibrationPrior) -> dict[str, Any]:
    """Movements of the threshold, and its effect, on validation speakers."""
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
