"""Compare the answers of two machines to the same clips, as `benchmarks.arm64.probe_worker` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.arm64.probe_worker import EMBEDDINGS, SCORES

Floats = npt.NDArray[np.float64]


def compared(work: Path, one: str, other: str) -> dict[str, Any]:
    """Bundle -> how far the answers of two machines agree; the files are in `work`."""
    arrays = [np.load(work / f"answers-{machine}.npz") for machine in (one, other)]
    answers = [json.loads((work / f"answers-{machine}.json").read_text()) for machine in (one, other)]
    return {
        bundle: {
            "embedding_cosine": spread(cosines(*(each[f"{bundle}/{EMBEDDINGS}"] for each in arrays))),
            "score_difference": spread(
                np.abs(np.subtract(*(each[f"{bundle}/{SCORES}"] for each in arrays))).max(axis=1)
            ),
            "labels": agreement(
                [each[bundle]["labels"] for each in answers], [each[f"{bundle}/{SCORES}"] for each in arrays]
            ),
            "labels_by_one_profile": agreement(
                [each[bundle]["labels by one profile"] for each in answers],
                [each[f"{bundle}/scores by one profile"] for each in arrays],
            ),
            "events": [
                events(*(each[bundle]["events"][place] for each in answers))
                for place in range(len(answers[0][bundle]["events"]))
            ],
            "verify": {machine: each[bundle]["verify"] for machine, each in zip((one, other), answers, strict=True)},
        }
        for bundle in answers[0]
    }


def cosines(one: Floats, other: Floats) -> Floats:
    """[N, E], [N, E] -> [N] the cosine of each pair of rows."""
    products: Floats = np.sum(one * other, axis=1)
    return products / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def spread(values: Floats) -> dict[str, float]:
    """Least, median and largest value."""
    least, median, largest = np.percentile(values, [0, 50, 100])
    return {"min": round(float(least), 7), "median": round(float(median), 7), "max": round(float(largest), 7)}


def agreement(labels: Sequence[Sequence[str | None]], scores: Sequence[Floats]) -> dict[str, Any]:
    """How many labels are equal; of the others the margin between the two best classes on each machine."""
    pairs = list(zip(*labels, strict=True))
    different = [place for place, (one, other) in enumerate(pairs) if one != other]
    margins = [[round(margin(each[place]), 4) for each in scores] for place in different]
    return {
        "clips": len(pairs),
        "equal": len(pairs) - len(different),
        "different": [[*pairs[place], *found] for place, found in zip(different, margins, strict=True)],
    }


def margin(row: Floats) -> float:
    """[C] -> the best score minus the second best."""
    second, best = np.sort(row)[-2:]
    return float(best - second)


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
