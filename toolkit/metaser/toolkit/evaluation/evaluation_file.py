"""Write and read a run of `metaser evaluate` as JSON: a model's evaluations on some corpora; compare two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaser.runtime.errors import InputError
from metaser.runtime.system.os_errors import not_found
from metaser.toolkit.evaluation.evaluate import Comparison, Evaluation, compare
from metaser.toolkit.evaluation.intervals import Interval

FORMAT = "metaser-evaluation"
VERSION = 1


@dataclass(frozen=True, eq=False)
class Run:
    """Evaluations of one model."""

    model: Mapping[str, str]
    """Its name, form and key."""
    evaluations: tuple[Evaluation, ...]
    """One per corpus."""


def to_document(run: Run) -> dict[str, Any]:
    """A run as JSON, with the prediction for every query."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": dict(run.model),
        "corpora": [{**summary(one), "confusion": one.confusion.tolist(), **_episodes(one)} for one in run.evaluations],
    }


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The results of one corpus; accuracies and recall are shares from 0 to 1."""
    return {
        "corpus": evaluation.corpus,
        "protocol": dict(evaluation.protocol),
        "queries": len(evaluation.speakers),
        "accuracy": interval(evaluation.accuracy),
        "accuracy_by_speakers": interval(evaluation.accuracy_by_speakers),
        "unweighted_recall": round(evaluation.recall, 6),
        "classes": list(evaluation.classes),
    }


def comparison_summary(comparison: Comparison) -> dict[str, Any]:
    """The difference of two runs, as shares."""
    return {
        "by_episodes": interval(comparison.by_episodes),
        "by_speakers": interval(comparison.by_speakers),
        "decided": comparison.decided,
    }


def interval(found: Interval | None) -> dict[str, float] | None:
    """An interval as JSON."""
    return {name: round(value, 6) for name, value in asdict(found).items()} if found else None


def read_run(path: str | Path) -> Run:
    """Read a run from the JSON of `to_document`.

    Raises:
        NotFoundError: there is no such file.
        InputError: it is not a run, damaged, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise not_found(path, "file")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise InputError(f"{path} is not a run: its format is {document['format']!r}")
        if document["version"] != VERSION:
            raise InputError(
                f"{path} has version {document['version']!r}; this metaser reads {VERSION}: update metaser"
            )
        return Run(document["model"], tuple(_evaluation(entry) for entry in document["corpora"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a run that `metaser evaluate --out` wrote ({error!r})") from error


def compare_runs(first: Run, second: Run) -> dict[str, Comparison]:
    """The differences of two runs by corpus.

    Raises:
        InputError: the corpora or the episodes differ.
    """
    others = {one.corpus: one for one in second.evaluations}
    if missing := [one.corpus for one in first.evaluations if one.corpus not in others]:
        raise InputError(f"the other run has no {', '.join(missing)}: it has {', '.join(others)}")
    return {one.corpus: compare(one, others[one.corpus]) for one in first.evaluations}


def _episodes(evaluation: Evaluation) -> dict[str, Any]:
    people = sorted(set(evaluation.speakers))
    position = {name: number for number, name in enumerate(people)}
    starts = np.cumsum([0, *(len(target) for target in evaluation.targets)])
    numbers = np.array([position[name] for name in evaluation.speakers])
    return {
        "episodes_id": evaluation.episodes_id,
        "speakers": people,
        "episodes": [
            {
                "accuracy": round(float(accuracy), 6),
                "targets": target.tolist(),
                "answers": answer.tolist(),
                "speakers": numbers[start : start + len(target)].tolist(),
            }
            for accuracy, target, answer, start in zip(
                evaluation.accuracy_by_episode, evaluation.targets, evaluation.answers, starts[:-1], strict=True
            )
        ],
    }


def _evaluation(entry: Mapping[str, Any]) -> Evaluation:
    people = entry["speakers"]
    return Evaluation(
        corpus=entry["corpus"],
        protocol=entry["protocol"],
        episodes_id=entry["episodes_id"],
        classes=tuple(entry["classes"]),
        targets=tuple(np.array(episode["targets"], np.int64) for episode in entry["episodes"]),
        answers=tuple(np.array(episode["answers"], np.int64) for episode in entry["episodes"]),
        speakers=tuple(people[number] for episode in entry["episodes"] for number in episode["speakers"]),
    )
