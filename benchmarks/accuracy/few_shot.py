"""Few-shot comparison on validation speakers: several embeddings, and several classifiers on the same embeddings.

    python -m benchmarks.accuracy.few_shot CORPORA [--compare NAME=MODEL] [--episodes N]

CORPORA holds ravdess, emodb and nemo; test speakers and other corpora are not used. 4 ways, five shots and one. The
embeddings: log-mel statistics, the frozen encoder and the default bundle, each with cosine prototypes. The classifiers:
nearest centroid, logistic regression and linear discriminant analysis of scikit-learn against the cosine prototypes, on
the same episodes. Writes `results/few_shot.json` and `.md`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy.few_shot_classifiers import classifiers_for, evaluate_classifier
from benchmarks.accuracy.few_shot_embedders import log_mel_embedder
from benchmarks.accuracy.scores import markdown, score
from benchmarks.accuracy.specs import TRAINED_ON, VALIDATION_SEED, Spec, sampler_of
from benchmarks.machine import RESULTS, read_result, write_result
from metaser.runtime.bundles.bundle import default_bundle, shipped_bundles
from metaser.runtime.system.files import SHARED, replace_text
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.episodes.sampler import EpisodeSampler, SpeakerSplit, split_of
from metaser.toolkit.evaluation.embeddings import Embedded, Embedder, embed_clips, open_embedder
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate

NAME = "few_shot"
EPISODES = 200
SHOTS = {"5 shots": 5, "1 shot": 1}
SPLITS: tuple[SpeakerSplit, ...] = ("disjoint", "same")
SPECS = tuple(Spec(corpus, speakers, split="validation") for speakers in SPLITS for corpus in TRAINED_ON)
PROTOTYPES, BASELINE = "cosine prototypes", "log-mel"
LEGEND = (
    "Accuracy in per cent ± half of its 95 % interval over episodes, chance is 25. Differences are paired by episode "
    "and query; brackets give the 95 % interval over speakers. Bold: both intervals exclude zero. There are two "
    "to four validation speakers per corpus, so intervals over speakers are rough."
)


@dataclass(frozen=True, eq=False)
class Figure:
    """Embedded clips of one spec, and its episodes."""

    embedded: Embedded
    sampler: EpisodeSampler


def validation_clips(corpora: Path) -> list[Utterance]:
    """The clips of validation speakers."""
    clips = (clip for name in TRAINED_ON for clip in read_corpus(corpora / name).utterances)
    return [clip for clip in clips if split_of(clip) == "validation"]


def figure_of(embedder: Embedder, utterances: Sequence[Utterance], spec: Spec, cache: Path) -> Figure:
    """Embed the clips of one spec, or read their embeddings from the cache."""
    rows, sampler = sampler_of(utterances, spec)
    embedded = embed_clips(embedder, [utterances[row] for row in rows], cache=cache)
    assert not embedded.problems
    return Figure(embedded, sampler)


def embedders_of(others: Mapping[str, str]) -> dict[str, Embedder]:
    """The baseline, the shipped bundles with the default last, and other models by name."""
    names = sorted(shipped_bundles(), key=lambda name: (name == default_bundle(), name))
    models = {name: name for name in names} | dict(others)
    return {BASELINE: log_mel_embedder(), **{name: open_embedder(model) for name, model in models.items()}}


def compare(
    embedders: Mapping[str, Embedder], utterances: Sequence[Utterance], cache: Path, episodes: int
) -> dict[str, Any]:
    """All tables: the embeddings by shots, then the classifiers by embedding and shots."""
    scores: dict[str, Any] = {}
    classified: dict[str, Any] = {}
    for title, shots in SHOTS.items():
        specs = [replace(spec, k_shot=shots) for spec in SPECS]
        prototypes: dict[str, dict[str, Sequence[Evaluation]]] = {}
        for name, embedder in embedders.items():
            figures = {spec.name: figure_of(embedder, utterances, spec, cache) for spec in specs}
            prototypes[name] = {
                spec: [evaluate(figure.embedded, figure.sampler, episodes)] for spec, figure in figures.items()
            }
            arms: dict[str, Mapping[str, Sequence[Evaluation]]] = {PROTOTYPES: prototypes[name]}
            for classifier, make in classifiers_for(shots).items():
                arms[classifier] = {
                    spec: [evaluate_classifier(make, figure.embedded, figure.sampler, episodes)]
                    for spec, figure in figures.items()
                }
            classified[f"Classifiers on {name}, {title}"] = score(arms, PROTOTYPES)
        scores[f"Embeddings, {title}"] = score(prototypes, BASELINE)
    return scores | classified


def to_markdown(document: Mapping[str, Any]) -> str:
    """The tables of all comparisons."""
    where = document["machine"]
    sections = [
        "# Few-shot comparison",
        f"`{document['command']}`, commit {where['commit']}, {document['episodes']} episodes per figure, "
        f"{document['seconds']:.0f} s.",
        LEGEND,
        "LDA estimates the spread within a class, so it has no result for one shot.",
        *(f"## {title}\n\n{markdown(own)}" for title, own in document["scores"].items()),
    ]
    return "\n\n".join(sections) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.few_shot", description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--compare", action="append", default=[], metavar="NAME=MODEL", help="a bundle or checkpoint")
    parser.add_argument("--episodes", type=int, default=EPISODES, metavar="N")
    parser.add_argument("--cache", type=Path, default=cache_folder() / "embeddings")
    given = parser.parse_args()
    began = time.perf_counter()
    embedders = embedders_of(dict(one.split("=", 1) for one in given.compare))
    scores = compare(embedders, validation_clips(given.corpora), given.cache, given.episodes)
    figures = {
        "command": "python -m benchmarks.accuracy.few_shot CORPORA",
        "protocol": "4-way, validation speakers",
        "episodes": given.episodes,
        "seed": VALIDATION_SEED,
        "embeddings": {name: embedder.key for name, embedder in embedders.items()},
        "seconds": round(time.perf_counter() - began, 1),
        "scores": scores,
    }
    write_result(NAME, figures)
    replace_text(RESULTS / f"{NAME}.md", to_markdown(read_result(NAME)), mode=SHARED)


if __name__ == "__main__":
    main()
