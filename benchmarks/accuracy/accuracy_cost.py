"""Accuracy against cost of every shipped bundle: few-shot accuracy, milliseconds, file size and memory.

    python -m benchmarks.accuracy.accuracy_cost accuracy CORPORA [--compare NAME=DIR]
    python -m benchmarks.accuracy.accuracy_cost cost [--compare NAME=DIR]

The first measures 4-way 5-shot accuracy on validation speakers of ravdess, emodb and nemo below CORPORA; other
processes do not disturb it, and test speakers are not used. The second times clips of 3 s on one and two threads in
about a minute; it needs a quiet machine. `--compare` adds another bundle, for example the default one in fp32. Each
part keeps the results of the other. Both write `results/accuracy_cost.json`, `.md` and, once both are there, `.png`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.accuracy_cost_report import draw, to_markdown
from benchmarks.accuracy.few_shot import EPISODES, SPECS, SPLITS, figure_of, validation_clips
from benchmarks.accuracy.scores import score
from benchmarks.accuracy.specs import VALIDATION_SEED
from benchmarks.cost.latency_peer import Peer, start, time_in_turn
from benchmarks.machine import RESULTS, commit, machine, matrix_product_s, read_result, write_result
from metaser.runtime import open_bundle
from metaser.runtime.bundles.bundle import default_bundle, shipped_bundles
from metaser.runtime.system.files import SHARED, replace_text
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.evaluation.embeddings import open_embedder
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate
from metaser.toolkit.evaluation.intervals import episode_interval

NAME = "accuracy_cost"
CLIP_S = 3.0
THREADS = (1, 2)
RUNS = 40


def accuracies(bundles: Mapping[str, str], corpora: Path, cache: Path, episodes: int) -> dict[str, Any]:
    """Accuracy by corpus and split with differences from the default bundle, and the mean over corpora by bundle."""
    clips = validation_clips(corpora)
    arms: dict[str, dict[str, list[Evaluation]]] = {}
    for name, folder in bundles.items():
        embedder = open_embedder(folder, provider="cpu")
        figures = {spec.name: figure_of(embedder, clips, spec, cache) for spec in SPECS}
        arms[name] = {spec: [evaluate(own.embedded, own.sampler, episodes)] for spec, own in figures.items()}
    return {
        "commit": commit(),
        "protocol": f"4-way 5-shot, validation speakers, {episodes} episodes a figure, seed {VALIDATION_SEED}",
        "models": _models(bundles),
        "scores": score(arms, default_bundle()),
        "means": {name: mean_over_corpora(own) for name, own in arms.items()},
    }


def mean_over_corpora(own: Mapping[str, list[Evaluation]]) -> dict[str, dict[str, float]]:
    """By speaker split, in per cent with half of its interval over episodes.

    Episode i of every corpus makes one value, so that all corpora have the same weight.
    """
    found: dict[str, dict[str, float]] = {}
    for split in SPLITS:
        parts = [evaluations[0].accuracy_by_episode for spec, evaluations in own.items() if spec.endswith(split)]
        interval = episode_interval(100 * np.mean(parts, axis=0))
        found[split] = {"mean": round(interval.mean, 2), "interval": round(interval.high - interval.mean, 2)}
    return found


def costs(bundles: Mapping[str, str], runs: int) -> dict[str, Any]:
    """Milliseconds from samples to embedding, peak memory and file size by bundle; bundles run in turn."""
    found: dict[str, Any] = {
        name: {"size_mb": size_mb(folder), "ms": {}, "times_ms": {}} for name, folder in bundles.items()
    }
    products_ms = []
    for threads in THREADS:
        products_ms.append(1000 * matrix_product_s())
        with ExitStack() as stack:
            running, failures = start([Peer(name, "embed", folder) for name, folder in bundles.items()], threads, stack)
            timed, failed = time_in_turn(running, CLIP_S, runs)
        assert not failures | failed, failures | failed
        for name, own in timed.items():
            found[name]["ms"][str(threads)] = own.median_ms
            found[name]["times_ms"][str(threads)] = own.times_ms
            found[name]["peak_mb"] = max(own.peak_mb, found[name].get("peak_mb", 0.0))
    return {
        "commit": commit(),
        "machine": machine(),
        "models": _models(bundles),
        "clip_s": CLIP_S,
        "threads": list(THREADS),
        "runs": runs,
        "warm_up_runs": 1,
        "matrix_product_ms": products_ms,
        "bundles": found,
    }


def size_mb(bundle: str) -> float:
    """Megabytes of all files that the manifest of a bundle lists."""
    return sum(entry.size_bytes for entry in open_bundle(bundle).manifest.files.values()) / 1e6


def _models(bundles: Mapping[str, str]) -> dict[str, str]:
    """The graph ids of the measured bundles, to check that both parts measured the same graphs."""
    return {name: open_bundle(folder).manifest.graph_id for name, folder in bundles.items()}


def main() -> None:
    """Measure one part, write both."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.accuracy_cost", description=__doc__.split("\n")[0]
    )
    parts = parser.add_subparsers(dest="part", required=True)
    accuracy, cost = (parts.add_parser(name) for name in ("accuracy", "cost"))
    accuracy.add_argument("corpora", type=Path)
    accuracy.add_argument("--episodes", type=int, default=EPISODES, metavar="N")
    accuracy.add_argument("--cache", type=Path, default=cache_folder() / "embeddings")
    cost.add_argument("--runs", type=int, default=RUNS, metavar="N")
    for part in (accuracy, cost):
        part.add_argument("--compare", action="append", default=[], metavar="NAME=DIR", help="another bundle")
    given = parser.parse_args()
    others = {name: str(Path(folder).resolve()) for name, folder in (one.split("=", 1) for one in given.compare)}
    bundles = {name: name for name in shipped_bundles()} | others
    if given.part == "accuracy":
        found = accuracies(bundles, given.corpora, given.cache, given.episodes)
    else:
        found = costs(bundles, given.runs)
    before = {name: value for name, value in read_result(NAME).items() if name in ("accuracy", "cost")}
    command = (
        "python -m benchmarks.accuracy.accuracy_cost accuracy CORPORA; python -m benchmarks.accuracy.accuracy_cost cost"
    )
    write_result(NAME, {"command": command, **before, given.part: found})
    document = read_result(NAME)
    picture = f"{NAME}.png" if {"accuracy", "cost"} <= set(document) else None
    if picture:
        draw(document, RESULTS / picture)
    replace_text(RESULTS / f"{NAME}.md", to_markdown(document, picture), mode=SHARED)


if __name__ == "__main__":
    main()
