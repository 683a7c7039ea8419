"""Enrolment episodes on cached embeddings of a bundle, the default or $METASER_BUNDLE: support, queries, and clips of
no class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metaser.cli.paths import given_by_environment
from metaser.runtime.bundles.bundle import Bundle, open_bundle
from metaser.runtime.errors import InputError
from metaser.runtime.scoring.calibration import CalibrationInputs, CalibrationPrior
from metaser.runtime.scoring.classifier import Classifier
from metaser.runtime.scoring.leave_one_out import LeftOutScores, cross_fit
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, SpeakerSplit, Split, split_of
from metaser.toolkit.evaluation.embeddings import Embedded, embed_clips, open_embedder

CORPORA = ("ravdess", "emodb", "nemo")
SPEAKER_SPLITS: tuple[SpeakerSplit, ...] = ("same", "disjoint")
SEED = 0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Draw:
    """One support set with its queries."""

    support: npt.NDArray[np.int64]
    """[C, K] clips."""

    classifier: Classifier

    fitted: LeftOutScores
    untuned: LeftOutScores
    """By the bundle's own head."""

    queries: Floats
    """[Q, C] cosines of clips of the enrolled classes."""

    query_clips: npt.NDArray[np.int64]
    """[Q] indices of the query clips."""

    targets: npt.NDArray[np.int64]
    """[Q]"""

    foreign: Floats
    """[F, C] cosines of clips of the queries' speakers, of classes that were not enrolled."""

    scale: float
    """The head's scale of cosines."""

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """[Q] whether a query's nearest class is correct."""
        return self.queries.argmax(axis=1) == self.targets


def load(corpora: Path, name: str, part: Split) -> Embedded:
    """The clips of one partition of a corpus, embedded by the measured bundle."""
    clips = [clip for clip in read_corpus(corpora / name).utterances if split_of(clip) == part]
    return embed_clips(open_embedder(measured_bundle().folder, provider="cpu", threads=1), clips)


def draws(embedded: Embedded, split: SpeakerSplit, *, shots: int, classes: int, count: int) -> Iterator[Draw]:
    """Support sets of a corpus with queries and foreign clips; empty if the corpus is too small for them."""
    clips = embedded.utterances
    labels = np.array([clip.label for clip in clips])
    speakers = np.array([clip.speaker for clip in clips])
    try:
        sampler = EpisodeSampler(clips, EpisodeSettings(classes, shots, speaker_split=split), seed=SEED)
    except InputError:
        return
    embeddings = embedded.embeddings
    for episode in sampler.episodes(count):
        heard = np.isin(speakers, speakers[episode.query_indices])
        foreign = np.flatnonzero(heard & ~np.isin(labels, episode.classes))
        rows, targets = episode.support.ravel(), episode.support_targets
        classifier, fitted = Classifier.fit(embeddings[rows], targets), cross_fit(embeddings[rows], targets)
        yield Draw(
            support=episode.support,
            classifier=classifier,
            fitted=fitted,
            untuned=fitted,
            queries=classifier.cosines(embeddings[episode.query_indices]),
            query_clips=episode.query_indices,
            targets=episode.query_targets,
            foreign=classifier.cosines(embeddings[foreign]),
            scale=measured_bundle().scale,
        )


@lru_cache
def measured_bundle() -> Bundle:
    """The bundle whose embeddings are measured."""
    return open_bundle(given_by_environment("METASER_BUNDLE"))


def evidence(draw: Draw, prior: CalibrationPrior | None, others: Floats | None = None) -> CalibrationInputs:
    """Calibration data of the measured bundle for a profile of this support set."""
    bundle = measured_bundle()
    return CalibrationInputs(
        fitted=draw.fitted,
        untuned=draw.untuned,
        shots=float(draw.support.shape[1]),
        others=np.zeros(0) if others is None else others,
        scale=draw.scale,
        base=bundle.manifest.calibration,
        prior=prior,
    )


def mean_and_spread(values: list[float]) -> dict[str, Any]:
    """Mean over episodes, its 95 % interval, and the spread between episodes: 10 % and 90 %."""
    array = np.array(values)
    low, high = np.quantile(array, [0.1, 0.9])
    return {
        "mean": round(float(array.mean()), 4),
        "interval_95": round(float(1.96 * array.std() / len(array) ** 0.5), 4),
        "from_10_to_90_percent": [round(float(low), 3), round(float(high), 3)],
    }
