"""Write the outcome of an experiment as JSON, as a Markdown table and as plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.accuracy.scores import markdown
from benchmarks.accuracy.specs import TEST_SEED, VALIDATION_SEED
from benchmarks.machine import machine
from metaser.runtime.system.files import SHARED, replace_text
from metaser.toolkit.evaluation.charts import draw_lines

LEGEND = (
    "Accuracy in per cent ± half of its 95 % interval over training seeds (over episodes if nothing is trained). "
    "Differences are paired by seed and query; brackets give the 95 % interval over speakers. Bold: both intervals "
    "exclude zero, so the difference is decided."
)


@dataclass(frozen=True)
class Plot:
    """Lines over a setting, each point a value with half of its interval."""

    name: str
    """Suffix of the experiment's name if there are several."""
    x: Sequence[Any]
    lines: Mapping[str, Sequence[tuple[float, float]]]
    labels: tuple[str, str]


@dataclass(frozen=True)
class Outcome:
    """The results of an experiment."""

    question: str
    scores: Mapping[str, Mapping[str, Any]]
    """Title to the result of `score`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Other results."""
    plots: Sequence[Plot] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    """Title to further tables in Markdown."""


@dataclass(frozen=True)
class Conditions:
    """Conditions of an experiment, written with its results."""

    command: str
    budget: Mapping[str, Any]
    """The budget."""
    training_seeds: Sequence[int]
    frames: str
    """Description of the frames."""
    seconds: float
    legend: str = LEGEND


def write(folder: Path, name: str, outcome: Outcome, conditions: Conditions) -> str:
    """Write an outcome to `folder/experiment_NAME.*`; returns the Markdown."""
    stem = f"experiment_{name}"
    seeds = list(conditions.training_seeds)
    where = machine()
    document = {
        "machine": where,
        "command": conditions.command,
        "seeds": {"training": seeds, "test episodes": TEST_SEED, "validation episodes": VALIDATION_SEED},
        "budget": dict(conditions.budget),
        "frames": conditions.frames,
        "seconds": round(conditions.seconds, 1),
        "question": outcome.question,
        "scores": outcome.scores,
        "facts": outcome.facts,
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / f"{stem}.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n", mode=SHARED)
    sections = [
        f"# {outcome.question}",
        f"`{conditions.command}`, commit {where['commit']}, {where['processor']} with {where['cores']} cores, "
        f"{_seeds(seeds)}, {conditions.seconds:.0f} s.",
        conditions.legend,
        *(f"## {title}\n\n{markdown(own)}" for title, own in outcome.scores.items()),
        *(f"## {title}\n\n{text}" for title, text in outcome.tables.items()),
    ]
    for plot in outcome.plots:
        picture = f"{stem}{f'_{plot.name}' if plot.name else ''}.png"
        draw_lines(folder / picture, plot.x, plot.lines, plot.labels)
        sections.append(f"![{plot.labels[1]} over {plot.labels[0]}]({picture})")
    text = "\n\n".join(sections) + "\n"
    replace_text(folder / f"{stem}.md", text, mode=SHARED)
    return text


def _seeds(seeds: Sequence[int]) -> str:
    return f"training seed {seeds[0]}" if len(seeds) == 1 else f"training seeds {seeds[0]} to {seeds[-1]}"
