"""The classifier: whitening by hand, against the matrix that it stands for, and what must not change."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.scoring.classifier import Classifier, Whitening
from metaser.runtime.scoring.decision import cosines, prototype, unit

Floats = npt.NDArray[np.float32]


def support(seed: int, shots: int, size: int = 6, classes: int = 3) -> tuple[Floats, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((classes * shots, size)) * rng.uniform(0.5, 3, size)
    return rows.astype(np.float32), np.repeat(np.arange(classes), shots)


def test_a_direction_that_varies_within_classes_counts_less() -> None:
    """Two classes along x, each spread along y. The covariance has 2 degrees of freedom and one direction.

    Its relative variances are 2 along y and 0 along x, so y is divided by sqrt(1 + 2 / 2 * 2).
    """
    side = np.sqrt(0.75)
    embeddings = np.array([[side, 0.5], [side, -0.5], [-side, 0.5], [-side, -0.5]], np.float32)
    whitened = Whitening.fit(embeddings, np.array([0, 0, 1, 1]))(np.array([[1.0, 1.0]], np.float32))
    np.testing.assert_allclose(whitened, [[1, 1 / np.sqrt(3)]], rtol=1e-6)


@given(st.integers(0, 1000), st.integers(2, 6))
def test_it_is_the_inverse_root_of_the_posterior_mean_covariance(seed: int, shots: int) -> None:
    embeddings, targets = support(seed, shots)
    size, freedom = embeddings.shape[1], len(targets) - 3
    rows = unit(embeddings)
    centred = rows - np.stack([rows[targets == target].mean(axis=0) for target in targets])
    scatter = centred.T @ centred
    prior = np.trace(scatter) / freedom / size * np.eye(size)
    covariance = (size * prior + scatter) / (size + freedom)
    variances, axes = np.linalg.eigh(covariance)
    expected = embeddings @ (axes * variances**-0.5) @ axes.T
    found = Whitening.fit(embeddings, targets)(embeddings)
    np.testing.assert_allclose(unit(found), unit(expected), atol=1e-6)


def test_with_one_clip_per_class_the_cosines_are_plain() -> None:
    embeddings, targets = support(0, 1)
    queries, _ = support(1, 4)
    plain = cosines(queries, np.stack([prototype(row[None]) for row in embeddings]))
    np.testing.assert_allclose(Classifier.fit(embeddings, targets).cosines(queries), plain, atol=1e-6)


@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_the_scale_of_all_embeddings_does_not_matter(seed: int, factor: float) -> None:
    embeddings, targets = support(seed, 3)
    queries, _ = support(seed + 1, 3)
    found = Classifier.fit(embeddings * np.float32(factor), targets).cosines(queries)
    np.testing.assert_allclose(found, Classifier.fit(embeddings, targets).cosines(queries), atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_clips_leave_no_direction_to_even_out(value: float) -> None:
    embeddings = np.full((6, 4), value, np.float32)
    classifier = Classifier.fit(embeddings, np.repeat([0, 1], 3))
    assert np.isfinite(classifier.cosines(np.ones((2, 4), np.float32))).all()
    assert len(classifier.whitening.gains) == 0


def test_a_nuisance_that_all_clips_share_is_ignored() -> None:
    """Classes differ along one direction, clips ten times as much along another, as with loudness or wording."""
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1], 30)
    base = np.zeros((60, 16))
    base[:, 0] = 6
    base[:, 1] = np.where(targets == 0, 1.0, -1.0)
    base[:, 2] = 10 * rng.standard_normal(60)
    noisy = (base + rng.standard_normal(base.shape) / 4).astype(np.float32)
    queries, truth = noisy[::2], targets[::2]
    learnt = np.arange(60) % 2 == 1
    plain = cosines(queries, np.stack([prototype(noisy[learnt & (targets == number)]) for number in (0, 1)]))
    classifier = Classifier.fit(noisy[learnt], targets[learnt])
    assert np.mean(classifier.cosines(queries).argmax(1) == truth) > np.mean(plain.argmax(1) == truth)
