"""Classic classifiers of scikit-learn instead of cosine prototypes, on the same embeddings and episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from metaser.runtime.arrays import Embeddings
from metaser.toolkit.episodes.sampler import Episode, EpisodeSampler
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.evaluation.evaluate import Answers, Evaluation, evaluate_by

MAX_STEPS = 1000
NEEDS_TWO_SHOTS = "LDA with shrinkage"
"""It estimates the spread within a class, which one shot does not have."""

Make: TypeAlias = Callable[[], Any]
"""A new classifier with scikit-learn's `fit` and `predict`."""

CLASSIFIERS: Mapping[str, Make] = {
    "nearest centroid": NearestCentroid,
    "nearest centroid, unit length": lambda: make_pipeline(Normalizer(), NearestCentroid()),
    "logistic regression, unit length": lambda: make_pipeline(Normalizer(), LogisticRegression(max_iter=MAX_STEPS)),
    "logistic regression, standardised": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=MAX_STEPS)
    ),
    NEEDS_TWO_SHOTS: lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
}
"""With scikit-learn's defaults, and the scaling of embeddings that the name gives, fitted only on the support."""


def classifiers_for(k_shot: int) -> Mapping[str, Make]:
    """The classifiers that can learn from this number of shots."""
    return {name: make for name, make in CLASSIFIERS.items() if k_shot > 1 or name != NEEDS_TWO_SHOTS}


def answer_by(make: Make, embeddings: Embeddings, episode: Episode) -> Answers:
    """[M, E] -> [Q] the class of each query, by a classifier fitted on the support."""
    support = embeddings[episode.support.ravel()].astype(np.float64)  # [N · K, E]
    with np.errstate(invalid="ignore"):  # NearestCentroid computes an unused spread, 0 / 0 for one shot
        fitted = make().fit(support, episode.support_targets)
    return fitted.predict(embeddings[episode.query_indices].astype(np.float64))


def evaluate_classifier(make: Make, embedded: Embedded, sampler: EpisodeSampler, episodes: int) -> Evaluation:
    """Evaluate a classifier on some episodes."""
    return evaluate_by(
        lambda episode: answer_by(make, embedded.embeddings, episode), sampler, embedded.digests, range(episodes)
    )
