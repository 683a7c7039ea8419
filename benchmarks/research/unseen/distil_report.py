"""The result of a distillation: accuracies, and differences that are paired by episode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESEARCH, write_result
from benchmarks.research.unseen.recipe import LANGUAGES
from benchmarks.research.unseen.teachers import START
from metaser.toolkit.evaluation.intervals import paired_interval

Accuracies = Mapping[str, Sequence[float]]
"""Judge to the accuracy of each episode."""


def write_distilled(outcome: Path) -> None:
    """Write `results/distilled.json` from WORK/distilled.json.

    Judges are those of `judge.make_judges`: validation speakers of the training corpora, unseen and one person, and all
    speakers of develop corpora; for a language that was left out all speakers of its corpora.
    """
    found: dict[str, Accuracies] = json.loads(outcome.read_text(encoding="utf-8"))
    usual = [name for name in found[START] if not name.endswith(" all") or name.split()[0] in ("casia", "ased")]
    models = [name for name in found if " without " not in name]
    figures: dict[str, Any] = {
        "command": "python -m benchmarks.research.unseen distil BACKBONE START WORK --device cuda --workers 6",
        "accuracy": {name: {judge: _percent(found[name][judge]) for judge in usual} for name in models},
        "minus start": {
            name: {judge: _difference(found[name][judge], found[START][judge]) for judge in usual}
            for name in models
            if name != START
        },
        "left out": {
            f"{language} {corpus}": _left_out(found, language, f"{corpus} all")
            for language, corpora in LANGUAGES.items()
            for corpus in corpora
        },
    }
    write_result("distilled", figures, RESEARCH)


def _left_out(found: Mapping[str, Accuracies], language: str, judge: str) -> dict[str, Any]:
    own = {name: found[f"{name} without {language}"][judge] for name in ("reference", "joined", "student")}
    return {
        "reference": _percent(own["reference"]),
        "joined minus reference": _difference(own["joined"], own["reference"]),
        "student minus reference": _difference(own["student"], own["reference"]),
    }


def _difference(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    interval = paired_interval(np.array(one), np.array(other))
    return {
        "difference": round(100 * interval.mean, 2),
        "interval": round(100 * (interval.high - interval.mean), 2),
    }


def _percent(values: Sequence[float]) -> float:
    return round(100 * float(np.mean(values)), 2)
