"""What several models together gain over one: `python -m benchmarks.research.unseen.joined_models CORPORA RUNS`.

The embeddings of models that were trained on different corpora are joined, so that cosines are the means of all:
those of the bundles `default` and `open`, and of these with the teachers of configs/distilled.toml below RUNS; and the
embeddings of the network that was distilled from the five. 4-way 5-shot episodes of unseen validation speakers, and of
all speakers of develop corpora, paired; plain cosines to prototypes. Writes `results/joined_models.json`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESEARCH, write_result
from metaser.runtime.arrays import Embeddings
from metaser.runtime.scoring.decision import prototype
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.episodes.sampler import Episode, EpisodeSampler, EpisodeSettings, split_of
from metaser.toolkit.evaluation.embeddings import embed_clips, open_embedder
from metaser.toolkit.evaluation.evaluate import Answers, Comparison, compare, evaluate_by

CORPORA = ("ravdess", "crema-d", "emodb", "nemo", "emovo", "emotiontts", "casia", "ased")
BUNDLES = ("default", "open")
TEACHERS = ("ravdess-nemo", "crema-d-emovo", "crema-d-emotiontts")
DISTILLED = "distilled"
DIFFERENCES = {"both": BUNDLES, "five": ("default",), DISTILLED: ("default",)}
"""What is compared -> with what."""

EPISODES, SEED = 300, 1


def classify(embeddings: Embeddings, episode: Episode) -> Answers:
    """[M, E] -> [Q], by plain cosines."""
    classes = np.stack([prototype(embeddings[own]) for own in episode.support])
    return (embeddings[episode.query_indices] @ classes.T).argmax(1)


def measure(corpora: Path, corpus: str, runs: Path) -> dict[str, Any]:
    """Accuracy of each model and of several on one corpus, and their differences, in per cent."""
    clips = [clip for clip in read_corpus(corpora / corpus).utterances if split_of(clip) == "validation"]
    places: dict[str, str | Path] = {name: name for name in BUNDLES}
    places |= {name: runs / "teachers" / name / "best" for name in TEACHERS} | {DISTILLED: runs / DISTILLED / "best"}
    found: dict[str, Embeddings] = {}
    digests: tuple[str, ...] = ()
    for name, place in places.items():
        embedded = embed_clips(
            open_embedder(place, provider="cpu" if name in BUNDLES else "auto", threads=1),
            clips,
            cache=cache_folder() / "embeddings",
        )
        clips, rows, digests = list(embedded.utterances), embedded.embeddings, embedded.digests
        found[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found["both"] = np.concatenate([found[name] for name in BUNDLES], axis=1)
    found["five"] = np.concatenate([found[name] for name in (*BUNDLES, *TEACHERS)], axis=1)
    sampler = EpisodeSampler(clips, EpisodeSettings(), SEED)
    outcomes = {
        name: evaluate_by(partial(classify, rows), sampler, digests, range(EPISODES)) for name, rows in found.items()
    }
    return {
        "accuracy": {name: _percent(outcome.accuracy.mean) for name, outcome in outcomes.items()},
        **{
            f"{name} minus": {other: _difference(compare(outcomes[name], outcomes[other])) for other in others}
            for name, others in DIFFERENCES.items()
        },
    }


def _difference(found: Comparison) -> dict[str, Any]:
    return {
        "difference": _percent(found.by_episodes.mean),
        "interval": _percent(found.by_episodes.high - found.by_episodes.mean),
        "by_speakers": [_percent(found.by_speakers.low), _percent(found.by_speakers.high)]
        if found.by_speakers
        else None,
    }


def _percent(share: float) -> float:
    return round(100 * share, 2)


def main() -> int:
    """Measure and write."""
    corpora, runs = Path(sys.argv[1]), Path(sys.argv[2])
    found = {corpus: measure(corpora, corpus, runs) for corpus in CORPORA}
    command = "python -m benchmarks.research.unseen.joined_models CORPORA RUNS"
    write_result("joined_models", {"command": command, "episodes": EPISODES, "corpora": found}, RESEARCH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
