"""The comparisons of the method on cached frames, one command each.

    python -m benchmarks.research.experiments NAME BACKBONE CORPORA

NAME is listed below, or all. BACKBONE is a folder of Whisper base in the hub's layout, CORPORA one with ravdess,
emodb, nemo and urdu. Heads train on the training speakers of the first three; every setting is chosen on validation
speakers; test speakers and the Urdu corpus are used only for the report. Frames are computed once and cached. Each
experiment writes `results/experiment_NAME.json`, `.md` and, if useful, `.png`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.accuracy.specs import TRAINED_ON, UNSEEN
from benchmarks.machine import RESEARCH
from benchmarks.research.experiments_frames import STRIDE, open_store
from benchmarks.research.experiments_frozen import adaptation, layers
from benchmarks.research.experiments_heads import adversarial, heads, persons, sampling, supervised, unseen
from benchmarks.research.experiments_lab import Budget, Lab
from benchmarks.research.experiments_outcome import Conditions, Outcome, write
from benchmarks.research.experiments_tuning import one_shot, sweep, tuning
from metaser.runtime.system.user_folders import cache_folder

LAYERS = 2
"""Layers of Whisper base; chosen on validation speakers by `choose_default`."""

EXPERIMENTS: Mapping[str, Callable[[Lab], Outcome]] = {
    "heads": heads,
    "sampling": sampling,
    "adversarial": adversarial,
    "supervised": supervised,
    "unseen": unseen,
    "persons": persons,
    "layers": layers,
    "adaptation": adaptation,
    "tuning": tuning,
    "one_shot": one_shot,
    "sweep": sweep,
}


def main() -> None:
    """Run one experiment, or all of them with the heads they share trained once."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.research.experiments", description=__doc__.split("\n")[0]
    )
    parser.add_argument("name", choices=[*EXPERIMENTS, "all"])
    parser.add_argument("backbone", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--out", type=Path, default=RESEARCH)
    parser.add_argument("--cache", type=Path, default=cache_folder() / "frames")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folders = [given.corpora / name for name in (*TRAINED_ON, UNSEEN)]
    lab = Lab(open_store(given.backbone, LAYERS, folders, given.cache), Budget())
    for name in EXPERIMENTS if given.name == "all" else [given.name]:
        start = time.perf_counter()
        outcome = EXPERIMENTS[name](lab)
        print(write(given.out, name, outcome, conditions(name, lab.budget, time.perf_counter() - start)), flush=True)


def conditions(name: str, budget: Budget, seconds: float) -> Conditions:
    """Conditions that are reported with the results of an experiment."""
    command = f"python -m benchmarks.research.experiments {name} BACKBONE CORPORA"
    frames = f"means of {STRIDE} of the frozen backbone's"
    return Conditions(command, asdict(budget), range(budget.seeds), frames, seconds)


if __name__ == "__main__":
    main()
