"""Experiments without gradient training: choice of the layer, and unsupervised adaptation of embeddings.

Letters: S support clips, Q queries, E embedding size, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.scores import score
from benchmarks.accuracy.specs import TESTS, TRAINED_ON, Spec
from benchmarks.research.experiments_heads import CHOSEN_HEAD
from benchmarks.research.experiments_lab import Lab, Recipe
from benchmarks.research.experiments_outcome import Outcome, Plot
from benchmarks.research.experiments_training import heads_of
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.episodes.sampler import Episode
from metaser.toolkit.evaluation.evaluate import Answers, Evaluation, evaluate_by

Floats: TypeAlias = npt.NDArray[np.float64]
Adaptation: TypeAlias = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""[S, E] of the support and [Q, E] of the queries -> both, adapted; labels are not used."""

SHRINKAGE = 0.5
"""Shrinkage of CORAL's covariances towards a multiple of the identity: 20 clips do not determine width 256."""


def layers(lab: Lab) -> Outcome:
    """The frozen mean frame of each layer."""
    depth = lab.store.means.shape[1]
    parts = {"validation": [Spec(corpus, split="validation") for corpus in TRAINED_ON], "test": list(TESTS)}
    scores = {}
    for title, specs in parts.items():
        arms = {
            str(layer + 1): {
                spec.name: [lab.evaluate_rows(spec, lab.store.means[lab.rows([spec.corpus], spec.split), layer])]
                for spec in specs
            }
            for layer in range(depth)
        }
        scores[title] = score(arms, str(depth))
    accuracy = scores["test"]["accuracy"]
    lines = {
        spec.name: [(arm[spec.name]["mean"], arm[spec.name]["interval"]) for arm in accuracy.values()] for spec in TESTS
    }
    plot = Plot("", list(accuracy), lines, ("layers", "accuracy, %"))
    return Outcome("After how many layers are frozen frames best?", scores, plots=(plot,))


def adaptation(lab: Lab) -> Outcome:
    """Unsupervised adaptation at test time, of frozen means and of trained heads."""
    trained = heads_of(lab, Recipe(CHOSEN_HEAD))
    scores = {}
    for title in ("frozen", "trained"):
        arms: dict[str, dict[str, list[Evaluation]]] = {name: {} for name in ADAPTATIONS}
        for spec in TESTS:
            rows, sampler = lab.sampler(spec)
            means = lab.store.means[rows, lab.store.layer - 1]
            sets = [means] if title == "frozen" else [lab.store.embed(head, rows) for head in trained]
            digests = [lab.store.digests[row] for row in rows]
            for name, adapt in ADAPTATIONS.items():
                arms[name][spec.name] = [
                    evaluate_by(_answer_by(own, adapt), sampler, digests, range(lab.budget.tuning_episodes))
                    for own in sets
                ]
        scores[title] = score(arms, "none")
    return Outcome("Does aligning embeddings without labels help?", scores)


def _answer_by(embeddings: npt.NDArray[np.float32], adapt: Adaptation) -> Callable[[Episode], Answers]:
    wide = embeddings.astype(np.float64)

    def answer(episode: Episode) -> Answers:
        support, query = adapt(wide[episode.support.ravel()], wide[episode.query_indices])
        classes = support.reshape(*episode.support.shape, -1).mean(1)  # [N, E]
        return (unit(query) @ unit(classes).T).argmax(1)

    return answer


def unchanged(support: Floats, query: Floats) -> tuple[Floats, Floats]:
    """The embeddings as they are."""
    return support, query


def centre_by_support(support: Floats, query: Floats) -> tuple[Floats, Floats]:
    """Both minus the mean of the support set."""
    return support - support.mean(0), query - support.mean(0)


def standardise_by_support(support: Floats, query: Floats) -> tuple[Floats, Floats]:
    """Both by the mean and the standard deviation of the support set."""
    return _standardised(support, support), _standardised(query, support)


def standardise_each(support: Floats, query: Floats) -> tuple[Floats, Floats]:
    """Each by its own statistics; needs all unlabelled queries at once."""
    return _standardised(support, support), _standardised(query, query)


def coral(support: Floats, query: Floats) -> tuple[Floats, Floats]:
    """Give the support set the queries' mean and covariance (Sun et al., arXiv 1511.05547); needs all queries."""
    centred, target = support - support.mean(0), query - query.mean(0)
    whitened = times_covariance(centred, centred, -0.5)
    return times_covariance(whitened, target, 0.5) + query.mean(0), query


def _standardised(rows: Floats, by: Floats) -> Floats:
    return (rows - by.mean(0)) / (by.std(0) + 1e-6)


def times_covariance(rows: Floats, centred: Floats, exponent: float) -> Floats:
    """[rows, E] times a power of the covariance of `centred`, shrunk towards a scaled identity of the same trace.

    Computed from its few singular vectors, because there are fewer clips than features.
    """
    _, values, directions = np.linalg.svd(centred, full_matrices=False)  # [r], [r, E]
    variances = values**2 / len(centred)
    elsewhere = SHRINKAGE * variances.sum() / centred.shape[1]  # the variance in any other direction
    along = ((1 - SHRINKAGE) * variances + elsewhere) ** exponent
    return elsewhere**exponent * rows + rows @ directions.T * (along - elsewhere**exponent) @ directions


ADAPTATIONS: dict[str, Adaptation] = {
    "none": unchanged,
    "centred by support": centre_by_support,
    "standardised by support": standardise_by_support,
    "standardised each": standardise_each,
    "CORAL": coral,
}
