"""What evening out the variation within classes gains, over the number of clips per class.

    python -m benchmarks.accuracy.within_class CORPORA [--bundle NAME ...]

4-way episodes of validation speakers and develop corpora: support and queries from one speaker, or from different ones.
Each figure compares `metaser.runtime.scoring.classifier` with plain cosines on the same episodes, and with
other weights of its prior. Writes `results/within_class.json` and `.png`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.machine import RESULTS, write_result
from metaser.runtime.arrays import Embeddings
from metaser.runtime.errors import InputError
from metaser.runtime.scoring.classifier import Classifier, Whitening
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.episodes.sampler import Episode, EpisodeSampler, EpisodeSettings, SpeakerSplit, split_of
from metaser.toolkit.evaluation.embeddings import Embedded, embed_clips, open_embedder
from metaser.toolkit.evaluation.evaluate import Answers, compare, evaluate_by

FIGURES: Mapping[SpeakerSplit, Sequence[str]] = {
    "same": ("ravdess", "emodb", "nemo", "emovo", "casia"),
    "disjoint": ("ravdess", "nemo", "crema-d", "casia", "ased"),
}
SHOTS = (1, 2, 3, 5, 10, 20)
PRIORS = (0.25, 0.5, 1.0, 2.0)
"""Weights of the prior, in clips per dimension of the embedding; the runtime's is 1."""
EPISODES, SEED = 100, 1


def classify(embeddings: Embeddings, prior: float | None, episode: Episode) -> Answers:
    """[M, E] -> [Q], with a weight of the prior; None: plain cosines."""
    support, targets = embeddings[episode.support.ravel()], episode.support_targets
    fitted = Whitening.fit(support, targets)
    gains = np.zeros_like(fitted.gains) if prior is None else (1 + ((1 + fitted.gains) ** -2 - 1) / prior) ** -0.5 - 1
    classifier = Classifier.after(Whitening(fitted.directions, gains), support, targets)
    return classifier.cosines(embeddings[episode.query_indices]).argmax(1)


def measure(embedded: Embedded, split: SpeakerSplit, shots: int) -> dict[str, Any] | None:
    """Plain and evened-out accuracy on a corpus, in per cent; None if it has too few clips."""
    try:
        sampler = EpisodeSampler(embedded.utterances, EpisodeSettings(4, shots, speaker_split=split), SEED)
    except InputError:
        return None
    run: Callable[[float | None], Any] = lambda prior: evaluate_by(  # noqa: E731
        partial(classify, embedded.embeddings, prior), sampler, embedded.digests, range(EPISODES)
    )
    plain = run(None)
    found: dict[str, Any] = {"plain": _percent(plain.accuracy.mean)}
    for prior in PRIORS:
        one = run(prior)
        difference = compare(one, plain)
        speakers = difference.by_speakers
        found[f"prior {prior:g}"] = {
            "accuracy": _percent(one.accuracy.mean),
            "difference": _percent(difference.by_episodes.mean),
            "interval": _percent(difference.by_episodes.high - difference.by_episodes.mean),
            "by_speakers": [_percent(speakers.low), _percent(speakers.high)] if speakers else None,
        }
    return found


def measure_bundle(name: str, corpora: Path, cache: Path) -> dict[str, Any]:
    """All figures of a bundle, and their means over the corpora."""
    embedder = open_embedder(name, provider="cpu", threads=1)
    needed = sorted({corpus for own in FIGURES.values() for corpus in own})
    clips = {
        corpus: [clip for clip in read_corpus(corpora / corpus).utterances if split_of(clip) == "validation"]
        for corpus in needed
    }
    embedded = {corpus: embed_clips(embedder, own, cache=cache) for corpus, own in clips.items()}
    found: dict[str, Any] = {}
    for split, names in FIGURES.items():
        for shots in SHOTS:
            each = {corpus: one for corpus in names if (one := measure(embedded[corpus], split, shots))}
            if each:
                found.setdefault(split, {})[str(shots)] = {"corpora": each, "mean": means(list(each.values()))}
    return found


def means(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over corpora."""
    return {
        "plain": _rounded([one["plain"] for one in figures]),
        **{
            f"prior {prior:g}": {
                "accuracy": _rounded([one[f"prior {prior:g}"]["accuracy"] for one in figures]),
                "difference": _rounded([one[f"prior {prior:g}"]["difference"] for one in figures]),
                "least": min(one[f"prior {prior:g}"]["difference"] for one in figures),
            }
            for prior in PRIORS
        },
    }


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Accuracy over clips per class: means over the corpora that have enough clips for all numbers up to ten."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for side, (split, title) in zip(axes, (("same", "one speaker"), ("disjoint", "unseen speakers")), strict=True):
        for number, (name, own) in enumerate(found.items()):
            shots = [count for count in own[split] if int(count) <= 5]  # the same corpora for every point
            for key, style in (("plain", ":"), ("prior 1", "-")):
                rows = [own[split][count]["mean"][key] for count in shots]
                values = [row if key == "plain" else row["accuracy"] for row in rows]
                side.plot(list(map(int, shots)), values, style, color=f"C{number}", label=f"{name}, {key}")
        side.set(title=title, xlabel="clips per class", xticks=[1, 2, 3, 5])
        side.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy, %")
    axes[1].legend(fontsize=7)
    figure.savefig(path, dpi=130)


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _rounded(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 2)


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.within_class", description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--bundle", action="append", help="A bundle; by default the shipped ones.")
    parser.add_argument("--cache", type=Path, default=cache_folder() / "embeddings")
    given = parser.parse_args()
    names = given.bundle or ["default", "open", "tiny", "frozen"]
    found = {name: measure_bundle(name, given.corpora, given.cache) for name in names}
    command = "python -m benchmarks.accuracy.within_class CORPORA"
    write_result("within_class", {"command": command, "episodes": EPISODES, "bundles": found})
    draw(found, RESULTS / "within_class.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
