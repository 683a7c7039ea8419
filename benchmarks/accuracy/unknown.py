"""False accepts at 10 % false rejects: `[METASER_BUNDLE=NAME] python -m benchmarks.accuracy.unknown CORPORA`.

Profiles of four classes with five clips each answer clips of the enrolled classes, and clips of the same speakers in
other classes. The threshold on a score is set, over all profiles of a corpus, where 10 % of the correct answers become
unknown; the false accept rate is the share of clips of other classes that then get a label. For people who enrolled and
for others, on validation and test speakers; scores were compared on validation speakers. Writes `results/unknown.json`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import write_result
from benchmarks.research.enrolment_episodes import (
    CORPORA,
    SPEAKER_SPLITS,
    Draw,
    Floats,
    draws,
    load,
    mean_and_spread,
    measured_bundle,
)
from metaser.runtime.scoring.calibration import OWN_SHARE
from metaser.runtime.scoring.decision import softmax
from metaser.toolkit.episodes.sampler import Split
from metaser.toolkit.evaluation.embeddings import Embedded

FALSE_REJECTS = 0.1
EPISODES = 200
SHOTS, CLASSES = 5, 4
PARTS: tuple[Split, ...] = ("validation", "test")

Score = Callable[[Draw, Floats], Floats]
"""A profile and cosines [B, C] -> [B], low for clips that resemble no class."""


def _own_cosines(draw: Draw) -> Floats:
    """[C], the mean cosine of each class's left-out clips to it."""
    fitted = draw.fitted
    return np.array([fitted.cosines[fitted.targets == label, label].mean() for label in range(CLASSES)])


def _relative(draw: Draw, cosines: Floats) -> Floats:
    left_out = draw.fitted.cosines.max(axis=1)
    return (cosines.max(axis=1) - left_out.mean()) / left_out.std()


def _less(share: float) -> Score:
    return lambda draw, cosines: cosines.max(axis=1) - share * draw.fitted.cosines.max(axis=1).mean()


def _of_class(share: float) -> Score:
    return lambda draw, cosines: cosines.max(axis=1) - share * _own_cosines(draw)[cosines.argmax(axis=1)]


SCORES: Mapping[str, Score] = {
    "relative to left-out clips": _relative,
    "cosine": _less(0.0),
    "cosine, less half of that of left-out clips": _less(OWN_SHARE),
    "cosine, less that of left-out clips": _less(1.0),
    "cosine, less half of that of the class's left-out clips": _of_class(OWN_SHARE),
    "confidence": lambda draw, cosines: softmax(draw.scale * cosines).max(axis=1),
    "lead": lambda _, cosines: np.diff(np.sort(cosines, axis=1)[:, -2:], axis=1)[:, 0],
}
"""The third one sets the thresholds of profiles."""


def measure(embedded: Embedded, split: Any) -> dict[str, Any]:
    """False accepts by each score in one corpus, with the interval over profiles."""
    sets = list(draws(embedded, split, shots=SHOTS, classes=CLASSES, count=EPISODES))
    found = {}
    for name, score in SCORES.items():
        own = np.concatenate([score(draw, draw.queries[draw.correct]) for draw in sets])
        threshold = np.quantile(own, FALSE_REJECTS)
        found[name] = mean_and_spread([float(np.mean(score(draw, draw.foreign) >= threshold)) for draw in sets])
    return found


def main() -> int:
    """Measure, print and write."""
    corpora = Path(sys.argv[1])
    rates: dict[str, Any] = {}
    for part in PARTS:
        for corpus in CORPORA:
            embedded = load(corpora, corpus, part)
            for split in SPEAKER_SPLITS:
                rates[f"{corpus} {part} {split}"] = measure(embedded, split)
    means = {
        f"{part} {split}": {
            name: round(float(np.mean([rates[f"{corpus} {part} {split}"][name]["mean"] for corpus in CORPORA])), 4)
            for name in SCORES
        }
        for part in PARTS
        for split in SPEAKER_SPLITS
    }
    for name, row in means.items():
        print(name, row)
    command = "python -m benchmarks.accuracy.unknown CORPORA"
    bundle = measured_bundle().manifest.name
    figures = {"command": command, "bundle": bundle, "false_rejects": FALSE_REJECTS, "mean": means, "corpora": rates}
    write_result("unknown" if bundle == "default" else f"unknown_{bundle}", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
