"""The few-shot classifier: cosines to prototypes, after the variation within classes has been evened out.

Clips of one class differ most in a few directions of the embedding: what was said, how loud, by whom. Each embedding is
multiplied by the inverse square root of the within-class covariance, so that these directions count less. With few
clips the covariance is shrunk: it is the mean of an inverse-Wishart posterior whose prior, a multiple of the identity,
weighs as much as E clips (regularised discriminant analysis, Friedman, JASA 1989). With one clip per class nothing
changes.

Letters: M clips, C classes, E embedding size, B clips to classify, R directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embeddings
from metaser.runtime.scoring.decision import unit

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

NEGLIGIBLE = 1e-12
"""Share of the largest singular value below which a direction has no variance."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """The inverse square root of a within-class covariance, up to a factor: I + directionsᵀ · gains · directions."""

    directions: Floats
    """[R, E] orthonormal rows, the directions in which clips of one class differ."""

    gains: Floats
    """[R] from -1 to 0."""

    @classmethod
    def fit(cls, embeddings: Embeddings, targets: Indices) -> Whitening:
        """[M, E] embeddings, [M] classes. The covariance is that of embeddings scaled to length 1."""
        rows = unit(embeddings)
        size = rows.shape[1]
        _, members, counts = np.unique(targets, return_inverse=True, return_counts=True)
        means = (np.eye(len(counts))[members].T @ rows) / counts[:, None]
        _, spread, directions = np.linalg.svd(rows - means[members], full_matrices=False)
        freedom = len(rows) - len(counts)
        kept = spread > NEGLIGIBLE * max(1.0, spread.max(initial=0))
        if not freedom or not kept.any():
            return cls(np.zeros((0, size)), np.zeros(0))
        variances = spread[kept] ** 2 / freedom
        relative = variances / (variances.sum() / size)  # their mean over all E directions is 1
        return cls(directions[kept], (1 + freedom / size * relative) ** -0.5 - 1)

    def __call__(self, embeddings: Embeddings) -> Floats:
        """[B, E] -> [B, E]."""
        rows = embeddings.astype(np.float64)
        return rows + (rows @ self.directions.T * self.gains) @ self.directions


@dataclass(frozen=True, eq=False)
class Classifier:
    """What a support set gives: the whitening, and a prototype per class."""

    whitening: Whitening

    prototypes: Floats
    """[C, E] unit rows, whitened."""

    @classmethod
    def fit(cls, embeddings: Embeddings, targets: Indices) -> Classifier:
        """[M, E] embeddings, [M] classes 0 to C - 1, each with a clip."""
        return cls.after(Whitening.fit(embeddings, targets), embeddings, targets)

    @classmethod
    def after(cls, whitening: Whitening, embeddings: Embeddings, targets: Indices) -> Classifier:
        """The same with a given whitening.

        A prototype is the mean of un-normalised embeddings, normalised after (P>M>F, arXiv 2204.07305).
        """
        sums = np.eye(targets.max() + 1)[targets].T @ whitening(embeddings)
        return cls(whitening, unit(sums))

    def cosines(self, embeddings: Embeddings) -> Floats:
        """[B, E] embeddings -> [B, C] cosines to the prototypes."""
        return unit(self.whitening(embeddings)) @ self.prototypes.T
