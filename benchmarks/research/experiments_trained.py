"""Comparisons with trained layers, and tuning of the whole model: single runs, because each takes many minutes.

    python -m benchmarks.research.experiments_trained NAME BACKBONE CORPORA

NAME is listed below. BACKBONE is a folder of Whisper base in the hub's layout, CORPORA one with ravdess, emodb,
nemo and urdu. Three layers and a head train on the training speakers of the first three. Ctrl-C keeps finished work;
the same command continues from there. Each writes `results/experiment_NAME.json` and `.md`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.accuracy.scores import score
from benchmarks.accuracy.specs import TESTS, TRAINED_ON, UNSEEN
from benchmarks.machine import RESEARCH
from benchmarks.research.experiments_bench import LAYERS, SEED, Bench, Kept, open_trained
from benchmarks.research.experiments_outcome import Conditions, Outcome, write
from benchmarks.research.experiments_whole import whole_model
from metaser.runtime.system.interrupts import INTERRUPTED
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.data.corpora import read_corpus

LEGEND = (
    "Accuracy in per cent ± half of its 95 % interval over episodes. Differences are paired by episode and query; the "
    "brackets give the 95 % interval over speakers. Bold: both intervals exclude zero. Single runs: one training seed, "
    "so the variation between training runs is not known."
)


def trained_sampling(bench: Bench) -> Outcome:
    """Episodes of one corpus against episodes over corpora, and against no training."""
    embedders = {name: open_trained(bench.train(name))[1] for name in ("within", "free")}
    arms = {
        name: {spec.name: [bench.evaluate(embedder, spec)] for spec in TESTS}
        for name, embedder in {"frozen": bench.frozen_embedder(), **embedders}.items()
    }
    scores = {"test": score(arms, "free"), "against no training": score(arms, "frozen")}
    return Outcome("With trained layers, are episodes of one corpus better than episodes over all?", scores)


EXPERIMENTS: Mapping[str, Callable[[Bench], Outcome]] = {
    "trained_sampling": trained_sampling,
    "whole_model": whole_model,
}


def run(name: str, bench: Bench, out: Path) -> str:
    """Run an experiment, possibly over several calls, and write its outcome; returns the Markdown."""
    spent = Kept(bench.folder / "seconds.json")
    before, start = spent.get(name, float), time.perf_counter()
    try:
        outcome = EXPERIMENTS[name](bench)
    finally:
        spent.put(name, before + time.perf_counter() - start)
    command = f"python -m benchmarks.research.experiments_trained {name} BACKBONE CORPORA"
    frames = f"of the first {LAYERS} layers, trained with the head"
    seconds = spent.get(name, float)
    return write(out, name, outcome, Conditions(command, asdict(bench.budget), [SEED], frames, seconds, LEGEND))


def main() -> int:
    """Run one experiment; the exit code is 130 if Ctrl-C stopped it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.research.experiments_trained", description=__doc__.split("\n")[0]
    )
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--out", type=Path, default=RESEARCH)
    parser.add_argument("--cache", type=Path, default=cache_folder() / "trained")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    utterances = tuple(clip for name in (*TRAINED_ON, UNSEEN) for clip in read_corpus(given.corpora / name).utterances)
    bench = Bench(given.backbone, given.corpora, utterances, given.cache, threads=given.threads)
    try:
        print(run(given.name, bench, given.out), flush=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
