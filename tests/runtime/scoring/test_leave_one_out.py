"""Clips against prototypes that were made without them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.scoring.classifier import Whitening
from metaser.runtime.scoring.decision import unit
from metaser.runtime.scoring.leave_one_out import MAX_FOLDS, cross_fit, fitted_by_fold

HALF_ROOT = np.sqrt(0.5)


def test_each_clip_is_left_out_of_its_own_prototype_only() -> None:
    embeddings = np.array([[1, 0], [0, 1], [2, 2]], np.float32)
    fitted = cross_fit(embeddings, np.array([0, 0, 1]))
    assert fitted.rows.tolist() == [0, 1]  # the third has no other clip of its class
    assert fitted.targets.tolist() == [0, 0]
    np.testing.assert_allclose(fitted.cosines, [[0, HALF_ROOT], [0, HALF_ROOT]], atol=1e-12)
    np.testing.assert_allclose(fitted.others, [[HALF_ROOT], [HALF_ROOT], [1]], atol=1e-12)
    assert fitted.correct.tolist() == [False, False]


@given(st.lists(st.integers(0, 3), min_size=4, max_size=14), st.integers(0, 1000))
def test_prototypes_are_made_without_the_clip_and_whitening_without_its_fold(drawn: list[int], seed: int) -> None:
    targets = np.unique([0, 1, *drawn], return_inverse=True)[1]
    embeddings = np.random.default_rng(seed).standard_normal((len(targets), 3)).astype(np.float32)
    place = np.array([np.sum(targets[:row] == target) for row, target in enumerate(targets)])
    rows = []
    for row, target in enumerate(targets):
        if np.sum(targets == target) > 1:
            learnt = place % MAX_FOLDS != place[row] % MAX_FOLDS
            wide = Whitening.fit(embeddings[learnt], targets[learnt])(embeddings)
            kept = [(targets == number) & (np.arange(len(targets)) != row) for number in range(targets.max() + 1)]
            rows.append([unit(wide[row]) @ unit(wide[which].mean(axis=0)) for which in kept])
    fitted = cross_fit(embeddings, targets)
    np.testing.assert_allclose(fitted.cosines, np.reshape(rows, fitted.cosines.shape), atol=1e-9)
    assert fitted.others.shape == (len(targets), targets.max())


def test_a_clip_has_no_influence_on_its_own_score() -> None:
    """A clip in the direction of the other class stays wrong, whatever its length or that of its class."""
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1], 12)
    centres = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    embeddings = (centres[targets] + rng.standard_normal((24, 3)) / 4).astype(np.float32)
    embeddings[5] = [0.0, 40.0, 0.0]
    fitted = cross_fit(embeddings, targets)
    assert fitted.correct.tolist() == [row != 5 for row in range(24)]


def test_cosines_of_folds_are_taken_as_they_are() -> None:
    cosines = np.array([[0.9, 0.1, 0.2], [0.3, 0.8, 0.4], [0.7, 0.5, 0.6]])
    fitted = fitted_by_fold(cosines, np.array([0, 1, 2]), 3)
    np.testing.assert_array_equal(fitted.others, [[0.1, 0.2], [0.3, 0.4], [0.7, 0.5]])
    assert fitted.correct.tolist() == [True, True, False]


def test_without_folds_there_is_nothing_to_judge_by() -> None:
    fitted = fitted_by_fold(None, np.array([0, 1, 1]), 2)
    assert fitted.cosines.shape == (0, 2)
    assert fitted.others.shape == (0, 1)
    assert len(fitted.correct) == 0
