"""The tables of a search: unseen languages by arm, and differences from the reference that are paired by episode."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import RESEARCH, machine
from benchmarks.markdown import table
from benchmarks.research.unseen.recipe import ARMS, FOLDS, LADDER, LANGUAGES, STEP
from metaser.runtime.system.files import SHARED, replace_text
from metaser.toolkit.evaluation.intervals import paired_interval

REFERENCE = "six corpora"
ALPHA = "0.75"
UNSEEN = {
    **{corpus: language for language, corpora in LANGUAGES.items() for corpus in corpora},
    "casia": "Mandarin",
    "ased": "Amharic",
}
"""Corpus to its language, which is unseen in the runs that are judged on all its speakers."""

LEGEND = """\
Accuracy in per cent, 4-way 5-shot, unseen speakers, 300 episodes per corpus, by plain cosines to prototypes. Each run
leaves out the corpora of one or two languages. It is evaluated on them (all speakers but test speakers) and on Mandarin
and Amharic, which never train. `validation` and `one speaker` are validation speakers of the languages that the run
trains on. The weights are at {alpha} of the way from the initial ones. The last column is the mean difference over all
unseen languages of the runs that both arms have, paired by episode, with its 95 % interval over episodes, from one
seed."""

LADDER_LEGEND = """\
Short runs, {episodes} episodes each, one seed: first more speakers of one corpus, then more languages. The same
episodes as above; empty where the corpus trains."""

Accuracies = Mapping[str, Sequence[float]]
"""Judge to the accuracy of each episode."""
Arm = Mapping[str, Accuracies]
"""Fold to accuracies."""


def write_report(runs: Path) -> None:
    """Write `results/unseen_search.json` and `.md` from the runs of a search."""
    lines = [json.loads(line) for line in runs.read_text(encoding="utf-8").splitlines()]
    arms: defaultdict[str, dict[str, Accuracies]] = defaultdict(dict)
    steps: dict[str, dict[str, float]] = {}
    for line in lines:
        name, fold, _ = line["name"].split(" | ")
        if fold == "ladder":
            own = last(line["accuracy"])
            steps[name] = {corpus: _percent([own[f"{corpus} all"]]) for corpus in UNSEEN if f"{corpus} all" in own}
        else:
            arms[name][fold] = last(line["accuracy"])
    found = {
        "machine": machine(),
        "command": "python -m benchmarks.research.unseen run BACKBONE WORK --device cuda --workers 4",
        "device": ", ".join(sorted({line["device"] for line in lines})),
        "alpha": float(ALPHA),
        "folds": {fold: sorted(corpora) for fold, corpora in FOLDS.items()},
        "arms": {name: summary(arms[name], arms[REFERENCE]) for name in ARMS if name in arms},
        "ladder": {"episodes": STEP.episodes, "steps": {name: steps[name] for name in LADDER if name in steps}},
    }
    replace_text(RESEARCH / "unseen_search.json", json.dumps(found, indent=1) + "\n", mode=SHARED)
    replace_text(RESEARCH / "unseen_search.md", to_markdown(found), mode=SHARED)


def last(accuracy: Mapping[str, Accuracies]) -> Accuracies:
    """The accuracies after the last step, at ALPHA of the way from the initial weights."""
    steps = {int(key.split(" @ ")[0]): own for key, own in accuracy.items() if key.endswith(f"@ {ALPHA}")}
    return steps[max(steps)]


def unseen(arm: Arm) -> dict[tuple[str, str], npt.NDArray[np.float64]]:
    """Fold and corpus to the accuracy of each episode, for corpora of unseen languages."""
    return {
        (fold, corpus): np.array(own[f"{corpus} all"])
        for fold, own in arm.items()
        for corpus in UNSEEN
        if f"{corpus} all" in own and (corpus in FOLDS[fold] or corpus in ("casia", "ased"))
    }


def summary(arm: Arm, reference: Arm) -> dict[str, Any]:
    """Accuracy by unseen corpus, of validation speakers and one speaker, and the difference from the reference."""
    own, other = unseen(arm), unseen(reference)
    shared = [key for key in own if key in other]
    difference = paired_interval(
        np.concatenate([own[key] for key in shared]), np.concatenate([other[key] for key in shared])
    )
    return {
        "folds": sorted(arm),
        "unseen": {
            corpus: _percent([values for (_, name), values in own.items() if name == corpus])
            for corpus in UNSEEN
            if any(name == corpus for _, name in own)
        },
        "validation": _percent([values for fold in arm.values() for name, values in fold.items() if "valid" in name]),
        "same": _percent([values for fold in arm.values() for name, values in fold.items() if name.endswith("same")]),
        "difference": round(100 * difference.mean, 2),
        "interval": round(100 * (difference.high - difference.mean), 2),
    }


def _percent(values: Sequence[Sequence[float] | npt.NDArray[np.float64]]) -> float:
    return round(100 * float(np.mean([np.mean(own) for own in values])), 2)


def to_markdown(found: Mapping[str, Any]) -> str:
    """The page of a search."""
    rows = [
        [
            name, str(len(arm["folds"])), *(_cell(arm["unseen"].get(corpus)) for corpus in UNSEEN),
            f"{arm['validation']:.1f}", f"{arm['same']:.1f}", f"{arm['difference']:+.1f} ± {arm['interval']:.1f}",
        ]
        for name, arm in found["arms"].items()
    ]  # fmt: skip
    steps = [[name, *(_cell(own.get(corpus)) for corpus in UNSEEN)] for name, own in found["ladder"]["steps"].items()]
    languages = [f"{language}: {corpus}" for corpus, language in UNSEEN.items()]
    columns = ["arm", "runs", *languages, "validation", "one speaker", f"unseen, minus {REFERENCE}"]
    return (
        "\n\n".join(
            [
                "# The search for a recipe that carries over to unseen languages",
                f"`{found['command']}`, on {found['device']}.",
                LEGEND.format(alpha=found["alpha"], reference=REFERENCE),
                table(columns, rows),
                "## More speakers, then more languages",
                LADDER_LEGEND.format(episodes=found["ladder"]["episodes"]),
                table(["training clips of", *languages], steps),
            ]
        )
        + "\n"
    )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
