"""Centring a stream on its own speaker: `python -m benchmarks.research.unseen.stream_centring CORPORA`.

Streams of an hour of one validation speaker, with 25, 70, 90 and 100 % of the segments neutral. The profile holds four
classes of other speakers, or of the speaker. A segment is a clip of the speaker, about 4 s with its pause, and turns
of one class last three segments on average. Each estimator moves a segment by what was heard before it, without labels:

mean               the running mean minus the support set's, shrunk as by some segments
evenness           the same, times how evenly the predicted labels are spread (their perplexity)
offset             the mean distance to the predicted classes, as in expectation-maximisation
offset by class    the mean over classes of that distance, each shrunk

Points of unweighted accuracy minus that without centring; six corpora, fixed seeds. Writes `stream_centring.json`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESEARCH, write_result
from benchmarks.research.unseen.recipe import SIX
from metaser.runtime.scoring.decision import softmax, unit
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.episodes.protocol import split_of
from metaser.toolkit.evaluation.embeddings import Embedded, embed_clips, open_embedder

SHARES = (0.25, 0.7, 0.9, 1.0)
SEGMENTS, TURN = 900, 3.0
CLASSES, SHOTS = 4, 5
SEEDS = 40
NEUTRAL = "neutral"
TEMPERATURE = 0.05
"""Of cosines, for the probabilities of predicted labels."""

Floats = np.ndarray


@dataclass(frozen=True, eq=False)
class Stream:
    """A profile, [C, E] centred means of its classes, and [T, E] segments, centred likewise, with their classes."""

    classes: Floats
    segments: Floats
    truth: Floats


Estimator = Callable[[Stream], Floats]
"""A stream -> the predicted class of each segment, [T]."""


def predicted(classes: Floats, segments: Floats) -> Floats:
    """[T] by cosines."""
    return (unit(segments) @ unit(classes).T).argmax(1)


def by_mean(stream: Stream, weight: float) -> Floats:
    """The running mean, shrunk as by `weight` segments."""
    count = np.arange(1, len(stream.segments) + 1)[:, None]
    return predicted(stream.classes, stream.segments - np.cumsum(stream.segments, 0) / (count + weight))


def by_evenness(stream: Stream, weight: float, power: float) -> Floats:
    """The shrunk mean, times the evenness of the predicted labels to a power: 0 if all are the same, 1 if even."""
    directions, answers = unit(stream.classes), np.zeros(len(stream.segments), int)
    total, shares, offset = np.zeros(stream.classes.shape[1]), np.zeros(len(stream.classes)), 0.0
    for place, segment in enumerate(stream.segments):
        shares += softmax(unit(segment - offset)[None] @ directions.T / TEMPERATURE)[0]
        total += segment
        spread = shares / shares.sum()
        perplexity = np.exp(-(spread * np.log(np.maximum(spread, 1e-12))).sum())
        offset = ((perplexity - 1) / (len(shares) - 1)) ** power * total / (place + 1 + weight)
        answers[place] = (directions @ (segment - offset)).argmax()
    return answers


def by_offset(stream: Stream, weight: float, *, by_class: bool) -> Floats:
    """The mean distance to the predicted classes, or the mean over classes of it, shrunk as by `weight` segments."""
    directions, answers = unit(stream.classes), np.zeros(len(stream.segments), int)
    sums, counts, offset = np.zeros_like(stream.classes), np.zeros(len(stream.classes)), 0.0
    for place, segment in enumerate(stream.segments):
        share = softmax(unit(segment - offset)[None] @ directions.T / TEMPERATURE)[0]
        sums += share[:, None] * (segment - stream.classes)
        counts += share
        offset = (sums / (counts + weight)[:, None]).mean(0) if by_class else sums.sum(0) / (counts.sum() + weight)
        answers[place] = (directions @ (segment - offset)).argmax()
    return answers


ESTIMATORS: dict[str, Estimator] = {
    "none": lambda stream: predicted(stream.classes, stream.segments),
    "mean, 20": partial(by_mean, weight=20),
    "mean, 200": partial(by_mean, weight=200),
    "evenness, 20": partial(by_evenness, weight=20, power=1),
    "evenness, 60": partial(by_evenness, weight=60, power=1),
    "squared evenness, 20": partial(by_evenness, weight=20, power=2),
    "cubed evenness, 20": partial(by_evenness, weight=20, power=3),
    "offset, 20": partial(by_offset, weight=20, by_class=False),
    "offset by class, 20": partial(by_offset, weight=20, by_class=True),
}


def make_stream(embedded: Embedded, share: float, seed: int, *, enrolled: bool) -> Stream | None:
    """A stream of one speaker and a profile of the others or of the same; None if there are too few clips for it."""
    rng = np.random.default_rng([seed, round(100 * share)])
    rows = unit(embedded.embeddings)
    labels = np.array([clip.label for clip in embedded.utterances])
    speakers = np.array([clip.speaker for clip in embedded.utterances])
    own = speakers == sorted(set(speakers))[seed % len(set(speakers))]
    known = own if enrolled else ~own
    least = SHOTS + 1 if enrolled else 1
    usable = [label for label in sorted(set(labels)) if (own & (labels == label)).sum() >= least]
    usable = [label for label in usable if (known & (labels == label)).sum() >= SHOTS]
    if NEUTRAL not in usable or len(usable) < CLASSES:
        return None
    others = [label for label in usable if label != NEUTRAL]
    chosen = [NEUTRAL, *rng.choice(others, CLASSES - 1, replace=False)]
    support = [rng.choice(np.flatnonzero(known & (labels == label)), SHOTS, replace=False) for label in chosen]
    classes = np.stack([rows[clips].mean(0) for clips in support])
    truth: list[int] = []
    while len(truth) < SEGMENTS:
        label = 0 if rng.random() < share else int(rng.integers(1, CLASSES))
        truth += [label] * int(rng.geometric(1 / TURN))
    pools = [np.setdiff1d(np.flatnonzero(own & (labels == label)), support) for label in chosen]
    segments = rows[[rng.choice(pools[label]) for label in truth[:SEGMENTS]]]
    return Stream(classes - classes.mean(0), segments - classes.mean(0), np.array(truth[:SEGMENTS]))


def accuracy(answers: Floats, truth: Floats) -> float:
    """The mean over the classes that occur, in per cent."""
    return 100 * float(np.mean([(answers[truth == label] == label).mean() for label in set(truth.tolist())]))


def measure(embedded: Embedded, *, enrolled: bool) -> dict[str, dict[str, float]]:
    """Mean differences of one corpus, by estimator and share of neutral segments; empty if it is too small."""
    found: dict[str, dict[str, float]] = {name: {} for name in ESTIMATORS}
    for share in SHARES:
        made = (make_stream(embedded, share, seed, enrolled=enrolled) for seed in range(SEEDS))
        streams = [stream for stream in made if stream]
        if not streams:
            return {}
        plain = [accuracy(ESTIMATORS["none"](stream), stream.truth) for stream in streams]
        for name, estimator in ESTIMATORS.items():
            moved = [accuracy(estimator(stream), stream.truth) for stream in streams]
            values = plain if name == "none" else np.subtract(moved, plain)
            found[name][f"{share:g}"] = round(float(np.mean(values)), 2)
    return found


def mean_of(found: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The mean over corpora."""
    return {
        name: {f"{share:g}": round(float(np.mean([rows[name][f"{share:g}"] for rows in found])), 2) for share in SHARES}
        for name in ESTIMATORS
    }


def main() -> int:
    """Measure, print and write."""
    corpora = Path(sys.argv[1])
    embedder = open_embedder("default", provider="cpu", threads=1)
    results: dict[str, Any] = {}
    embedded = {}
    for corpus in SIX:
        clips = [clip for clip in read_corpus(corpora / corpus).utterances if split_of(clip) == "validation"]
        embedded[corpus] = embed_clips(embedder, clips)
    for name in ("unseen", "enrolled"):
        found = {corpus: measure(clips, enrolled=name == "enrolled") for corpus, clips in embedded.items()}
        used = {corpus: rows for corpus, rows in found.items() if rows}
        results[name] = {"mean": mean_of(list(used.values())), "corpora": used}
        for estimator, row in results[name]["mean"].items():
            print(name, estimator, row)
    command = "python -m benchmarks.research.unseen.stream_centring CORPORA"
    write_result("stream_centring", {"command": command, **results}, RESEARCH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
