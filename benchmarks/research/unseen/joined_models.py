"""What two models together gain over each: `python -m benchmarks.research.unseen.joined_models CORPORA`.

The embeddings of the bundles `default` and `open`, which were trained on different corpora, are joined, so that cosines
are the means of both. 4-way 5-shot episodes of unseen validation speakers, and of all speakers of develop corpora,
paired; plain cosines to prototypes. Writes `results/joined_models.json`.
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
from metaser.toolkit.evaluation.evaluate import Answers, compare, evaluate_by

CORPORA = ("ravdess", "crema-d", "emodb", "nemo", "emovo", "emotiontts", "casia", "ased")
BUNDLES = ("default", "open")
EPISODES, SEED = 300, 1


def classify(embeddings: Embeddings, episode: Episode) -> Answers:
    """[M, E] -> [Q], by plain cosines."""
    classes = np.stack([prototype(embeddings[own]) for own in episode.support])
    return (embeddings[episode.query_indices] @ classes.T).argmax(1)


def measure(corpora: Path, corpus: str) -> dict[str, Any]:
    """Accuracy of each model and of both on one corpus, and the differences of both from each, in per cent."""
    clips = [clip for clip in read_corpus(corpora / corpus).utterances if split_of(clip) == "validation"]
    found: dict[str, Embeddings] = {}
    digests: tuple[str, ...] = ()
    for name in BUNDLES:
        embedded = embed_clips(
            open_embedder(name, provider="cpu", threads=1), clips, cache=cache_folder() / "embeddings"
        )
        clips, rows, digests = list(embedded.utterances), embedded.embeddings, embedded.digests
        found[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found["both"] = np.concatenate([found[name] for name in BUNDLES], axis=1)
    sampler = EpisodeSampler(clips, EpisodeSettings(), SEED)
    runs = {
        name: evaluate_by(partial(classify, rows), sampler, digests, range(EPISODES)) for name, rows in found.items()
    }
    differences = {name: compare(runs["both"], runs[name]) for name in BUNDLES}
    return {
        "accuracy": {name: _percent(run.accuracy.mean) for name, run in runs.items()},
        "both minus": {
            name: {
                "difference": _percent(each.by_episodes.mean),
                "interval": _percent(each.by_episodes.high - each.by_episodes.mean),
                "by_speakers": [_percent(each.by_speakers.low), _percent(each.by_speakers.high)]
                if each.by_speakers
                else None,
            }
            for name, each in differences.items()
        },
    }


def _percent(share: float) -> float:
    return round(100 * share, 2)


def main() -> int:
    """Measure and write."""
    corpora = Path(sys.argv[1])
    found = {corpus: measure(corpora, corpus) for corpus in CORPORA}
    command = "python -m benchmarks.research.unseen.joined_models CORPORA"
    write_result("joined_models", {"command": command, "episodes": EPISODES, "corpora": found}, RESEARCH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
