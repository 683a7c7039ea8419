"""Clips against prototypes that were made without them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.scoring.decision import prototype, unit
from metaser.runtime.scoring.leave_one_out import cross_fit, fitted_by_fold

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
def test_it_is_what_making_every_prototype_without_the_clip_gives(drawn: list[int], seed: int) -> None:
    targets = np.unique([0, 1, *drawn], return_inverse=True)[1]
    embeddings = np.random.default_rng(seed).standard_normal((len(targets), 3)).astype(np.float32)
    fitted = cross_fit(embeddings, targets)
    rows = []
    for row, target in enumerate(targets):
        if np.sum(targets == target) > 1:
            kept = [(targets == number) & (np.arange(len(targets)) != row) for number in range(targets.max() + 1)]
            rows.append([unit(embeddings[row]) @ unit(prototype(embeddings[which])) for which in kept])
    np.testing.assert_allclose(fitted.cosines, np.reshape(rows, fitted.cosines.shape), atol=1e-6)
    assert fitted.others.shape == (len(targets), targets.max())


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
