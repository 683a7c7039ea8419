"""Results and tables of a comparison of arms: accuracies, paired differences, and whether they are decided.

An arm has one evaluation per training seed, or a single one if nothing is trained. Its accuracy is the mean over seeds
with a 95 % Student's t interval over them, or over episodes for a single evaluation. A difference from the reference
arm is paired by seed and by query, and decided if its intervals over seeds and over speakers both exclude zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.markdown import table
from metaser.toolkit.evaluation.evaluate import Evaluation
from metaser.toolkit.evaluation.intervals import Interval, episode_interval, interval_over_speakers

Arms = Mapping[str, Mapping[str, Sequence[Evaluation]]]
"""Arm, then figure, to one evaluation per training seed."""


def seed_interval(values: Sequence[float]) -> Interval:
    """The mean over seeds with Student's 95 % interval; at least two seeds."""
    array = np.asarray(values)
    half = float(student.ppf(0.975, len(array) - 1)) * float(array.std(ddof=1)) / len(array) ** 0.5
    return Interval(float(array.mean()), float(array.mean()) - half, float(array.mean()) + half)


def figure(evaluations: Sequence[Evaluation]) -> Interval:
    """The accuracy of an arm."""
    if len(evaluations) == 1:
        return evaluations[0].accuracy
    return seed_interval([one.accuracy.mean for one in evaluations])


def difference(arm: Sequence[Evaluation], reference: Sequence[Evaluation]) -> dict[str, Any]:
    """The paired difference of two arms on the same episodes, in per cent."""
    count = max(len(arm), len(reference))
    pairs = [(arm[seed % len(arm)], reference[seed % len(reference)]) for seed in range(count)]
    assert len({one.episodes_id for pair in pairs for one in pair}) == 1
    by_seed = [one.accuracy.mean - other.accuracy.mean for one, other in pairs]
    correct = np.mean(
        [np.concatenate(one.correct) * 1.0 - np.concatenate(other.correct) for one, other in pairs], axis=0
    )
    speakers = pairs[0][0].speakers
    by_speakers = interval_over_speakers(correct, speakers)
    if count == 1:
        spread = episode_interval(arm[0].accuracy_by_episode - reference[0].accuracy_by_episode)
    else:
        spread = seed_interval(by_seed)
    return {
        "mean": _percent(spread.mean),
        "interval": _percent(spread.high - spread.mean),
        "by_speakers": [_percent(by_speakers.low), _percent(by_speakers.high)] if by_speakers else None,
        "decided": bool(by_speakers and by_speakers.excludes_zero and spread.excludes_zero),
    }


def score(arms: Arms, reference: str) -> dict[str, Any]:
    """Accuracies of all arms and their differences from the reference arm, in per cent."""
    return {
        "unit": "per cent; interval: half of 95 % over training seeds, over episodes where nothing is trained",
        "accuracy": {
            name: {
                spec: {"mean": _percent(found.mean), "interval": _percent(found.high - found.mean)}
                for spec, found in ((spec, figure(own)) for spec, own in arm.items())
            }
            for name, arm in arms.items()
        },
        "reference": reference,
        "difference": {
            name: {spec: difference(own, arms[reference][spec]) for spec, own in arm.items()}
            for name, arm in arms.items()
            if name != reference
        },
    }


def markdown(scores: Mapping[str, Any]) -> str:
    """The table of accuracies and the table of differences, bold if decided."""
    accuracy, differences = scores["accuracy"], scores["difference"]
    specs = list(next(iter(accuracy.values())))
    rows = [[name, *(_cell(arm[spec]) for spec in specs)] for name, arm in accuracy.items()]
    text = table(["accuracy", *specs], rows)
    rows = [[name, *(_difference_cell(arm[spec]) for spec in specs)] for name, arm in differences.items()]
    return "\n\n".join([text, table([f"minus {scores['reference']}", *specs], rows)]) if rows else text


def _cell(entry: Mapping[str, float]) -> str:
    return f"{entry['mean']:.1f} ± {entry['interval']:.1f}"


def _difference_cell(entry: Mapping[str, Any]) -> str:
    by_speakers = entry["by_speakers"]
    brackets = f"[{by_speakers[0]:+.1f}, {by_speakers[1]:+.1f}]" if by_speakers else "[one speaker]"
    text = f"{entry['mean']:+.1f} ± {entry['interval']:.1f} {brackets}"
    return f"**{text}**" if entry["decided"] else text


def _percent(share: float) -> float:
    return round(100 * share, 2)
