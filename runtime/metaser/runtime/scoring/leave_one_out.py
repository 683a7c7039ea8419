"""Leave-one-out scores of a support set: each clip against prototypes that were made without it.

leave one out     a clip against the prototypes of all classes, its own without it: accuracy to expect of queries
leave a class out a clip against the prototypes of the other classes: cosines of classes not enrolled

Letters: M clips, C classes, R clips that can be left out, which need another clip of their class, E embedding size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embeddings
from metaser.runtime.scoring.classifier import Floats, Indices, Whitening
from metaser.runtime.scoring.decision import unit

MAX_FOLDS = 10
"""The whitening is fitted without a fold of the clips, at most this many times."""


@dataclass(frozen=True, eq=False)
class LeftOutScores:
    """The cosines of a support set's clips to prototypes that were made without them."""

    cosines: Floats
    """[R, C], clips left out of their own class's prototype."""

    targets: Indices
    """[R] the class of each."""

    rows: Indices
    """[R] the clip of each."""

    others: Floats
    """[M, C - 1], each clip to the prototypes of the other classes."""

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """[R] whether the predicted label is correct."""
        return self.cosines.argmax(axis=1) == self.targets


def cross_fit(embeddings: Embeddings, targets: Indices) -> LeftOutScores:
    """[M, E] embeddings, [M] classes 0 to C - 1 -> the cosines.

    A prototype is made without the clip, and the whitening without the clip's fold.
    """
    counts = np.bincount(targets)  # [C]
    one_hot = np.eye(len(counts))[targets]  # [M, C]
    place = np.array([np.count_nonzero(targets[:row] == target) for row, target in enumerate(targets)])
    folds = place % MAX_FOLDS  # every class is in as many folds as it has clips
    cosines, own = np.zeros(one_hot.shape), np.zeros(len(targets))
    for fold in range(folds.max() + 1):
        left_out = folds == fold
        wide = Whitening.fit(embeddings[~left_out], targets[~left_out])(embeddings)
        sums = one_hot.T @ wide  # [C, E]
        directions = unit(wide[left_out])
        cosines[left_out] = directions @ unit(sums).T
        rest = unit(sums[targets[left_out]] - wide[left_out])  # the prototype of the clip's class without the clip
        own[left_out] = (directions * rest).sum(axis=1)
    others = cosines[one_hot == 0].reshape(len(targets), -1)  # [M, C - 1]
    rows = np.flatnonzero(counts[targets] > 1)
    return LeftOutScores(np.where(one_hot > 0, own[:, None], cosines)[rows], targets[rows], rows, others)


def fitted_by_fold(cosines: npt.NDArray[np.floating] | None, targets: Indices, classes: int) -> LeftOutScores:
    """[M, C] cosines to prototypes that were made without the clip's fold; None if no clip could be left out."""
    if cosines is None:
        return LeftOutScores(np.zeros((0, classes)), targets[:0], targets[:0], np.zeros((0, classes - 1)))
    wide = cosines.astype(np.float64)
    others = wide[np.arange(classes) != targets[:, None]].reshape(len(targets), -1)  # [M, C - 1]
    return LeftOutScores(wide, targets, np.arange(len(targets)), others)
