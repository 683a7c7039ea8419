"""Compare the answers of two machines to the same clips, as `benchmarks.arm64.probe_worker` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.arm64.probe_worker import EMBEDDINGS, EVENTS, LABELS, LIMITS, PROFILES, VERIFY, answers_folder

Floats = npt.NDArray[np.float64]
HALF = 0.5
"""Scores that add up to less are those of a clip that resembles no class."""


def compared(work: Path, machines: tuple[str, str]) -> dict[str, Any]:
    """Bundle -> how far the answers of two machines agree."""
    one, other = (answers_folder(work, machine) for machine in machines)
    names = [path.stem for path in sorted(one.glob("*.json")) if (other / path.name).exists()]
    return {name: _compared(name, one, other) for name in names}


def _compared(name: str, *folders: Path) -> dict[str, Any]:
    arrays = [np.load(folder / f"{name}.npz") for folder in folders]
    answers = [json.loads((folder / f"{name}.json").read_text()) for folder in folders]
    return {
        "embedding_cosine": spread(cosines(*(each[EMBEDDINGS] for each in arrays))),
        PROFILES: {
            support: {
                "score_difference": spread(np.abs(np.subtract(*(each[support] for each in arrays))).max(axis=1)),
                **agreement([each[PROFILES][support] for each in answers], [each[support] for each in arrays]),
            }
            for support in answers[0][PROFILES]
        },
        EVENTS: [events(*(each[EVENTS][place] for each in answers)) for place in range(len(answers[0][EVENTS]))],
        VERIFY: {folder.name: each[VERIFY] for folder, each in zip(folders, answers, strict=True)},
    }


def cosines(one: Floats, other: Floats) -> Floats:
    """[N, E], [N, E] -> [N] the cosine of each pair of rows."""
    products: Floats = np.sum(one * other, axis=1)
    return products / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def spread(values: Floats) -> dict[str, float]:
    """Least, median and largest value."""
    least, median, largest = np.percentile(values, [0, 50, 100])
    return {"min": round(float(least), 7), "median": round(float(median), 7), "max": round(float(largest), 7)}


def agreement(answers: Sequence[dict[str, Any]], scores: Sequence[Floats]) -> dict[str, Any]:
    """How many labels are equal, the thresholds for unknown, and how close each decision for different labels was."""
    pairs = list(zip(*(each[LABELS] for each in answers), strict=True))
    different = [place for place, (one, other) in enumerate(pairs) if one != other]
    return {
        "clips": len(pairs),
        "equal": len(pairs) - len(different),
        "thresholds": [round(each[LIMITS]["threshold"], 5) for each in answers],
        "different": [
            {
                "labels": list(pairs[place]),
                "closeness": [
                    round(closeness(found[place], **each[LIMITS]), 4)
                    for found, each in zip(scores, answers, strict=True)
                ],
            }
            for place in different
        ],
    }


def closeness(row: Floats, threshold: float, margin: float) -> float:
    """[C] scores -> how much they would have to change for another label, or for unknown instead of a label.

    It is the least of: the best score less the second best; the distance of the best score from the threshold; the
    distance of the first difference from the least margin; the distance of all scores together from one half.
    """
    second, best = np.sort(row / row.sum())[-2:]
    limits = [best - second, abs(best - threshold), abs(best - second - margin), abs(row.sum() - HALF)]
    return float(min(limits))


def events(one: list[Any], other: list[Any]) -> dict[str, Any]:
    """How many segments of a recording are equal, and the largest difference of a time if their labels are."""
    same_labels = [each[0] for each in one] == [each[0] for each in other]
    times = [np.array([each[1:] for each in found], float) for found in (one, other)]
    return {
        "segments": len(one),
        "equal": sum(first == second for first, second in zip(one, other, strict=False)),
        "same_labels": same_labels,
        "most_s": round(float(np.abs(np.subtract(*times)).max()), 3) if same_labels and one else None,
    }
