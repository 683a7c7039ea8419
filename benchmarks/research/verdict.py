"""How far the verdict after enrolment can be trusted: `python -m benchmarks.research.verdict CORPORA`.

Support sets of 2 to 6 classes and 3 to 10 clips per class on validation speakers of ravdess, emodb and nemo, with the
bundle `default` or $METASER_BUNDLE: how many are called reliable, and how many of these label at least 75 % of new
clips correctly; new clips of the enrolled speakers, and of unseen speakers. Writes `results/verdict.json`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESEARCH, write_result
from benchmarks.research.enrolment_episodes import CORPORA, draws, load, measured_bundle
from metaser.runtime.enrolment.verdict import Level, judge
from metaser.toolkit.episodes.sampler import SpeakerSplit

SPLITS: tuple[SpeakerSplit, ...] = ("same", "disjoint")
SHOTS, CLASSES = (3, 5, 8, 10), (2, 3, 4, 5, 6)
EPISODES = 150
GOOD = 0.75
"""Accuracy on new clips that a reliable profile has to reach."""

LEAST_CASES = 20
"""Groups with fewer reliable profiles have no figure of their own."""


@dataclass(frozen=True)
class Case:
    """One support set."""

    corpus: str
    speakers: str
    shots: int
    classes: int
    level: Level
    accuracy: float
    """On new clips."""


def cases_of(corpora: Path) -> list[Case]:
    """All support sets with their verdicts."""
    found = []
    for corpus in CORPORA:
        embedded = load(corpora, corpus, "validation")
        for speakers in SPLITS:
            for shots in SHOTS:
                for classes in CLASSES:
                    labels = [str(number) for number in range(classes)]
                    found += [
                        Case(corpus, speakers, shots, classes, judge(draw.fitted, labels).level, draw.correct.mean())
                        for draw in draws(embedded, speakers, shots=shots, classes=classes, count=EPISODES)
                    ]
    return found


def share_good(cases: Sequence[Case]) -> float | None:
    """The share of profiles with a good accuracy on new clips."""
    return round(float(np.mean([case.accuracy >= GOOD for case in cases])), 3) if len(cases) >= LEAST_CASES else None


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """The figures of one kind of new clips."""
    by_level = {
        level: [case for case in cases if case.level == level] for level in ("reliable", "unreliable", "guessing")
    }
    reliable = by_level["reliable"]
    groups = {
        f"{name} {value}": share_good([case for case in reliable if getattr(case, name) == value])
        for name, values in (("corpus", CORPORA), ("shots", SHOTS), ("classes", CLASSES))
        for value in values
    }
    return {
        "profiles": len(cases),
        "share of profiles": {level: round(len(own) / len(cases), 3) for level, own in by_level.items()},
        "mean accuracy": {
            level: round(float(np.mean([case.accuracy for case in own])), 3) for level, own in by_level.items() if own
        },
        "of reliable ones good": share_good(reliable),
        "of others good": share_good([*by_level["unreliable"], *by_level["guessing"]]),
        "of reliable ones good, by group": groups,
    }


def main() -> None:
    """Measure and write."""
    cases = cases_of(Path(sys.argv[1]))
    by_speakers: dict[str, Any] = {
        speakers: summary([case for case in cases if case.speakers == speakers]) for speakers in SPLITS
    }
    figures = {
        "command": "python -m benchmarks.research.verdict CORPORA",
        "bundle": measured_bundle().manifest.name,
        "good": GOOD,
        **by_speakers,
    }
    write_result("verdict", figures, RESEARCH)


if __name__ == "__main__":
    main()
