"""Clips against prototypes that have not seen them: by hand, and against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.cross_fitting import cross_fit


def test_two_classes_by_hand() -> None:
    embeddings = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    fitted = cross_fit(embeddings, np.array([0, 0, 1]))
    np.testing.assert_allclose(fitted.cosines, [[0, -1], [0, 0]], atol=1e-12)
    assert fitted.rows.tolist() == [0, 1]  # the third has no other clip of its class
    np.testing.assert_allclose(fitted.others, [[-1], [0], [-np.sqrt(0.5)]], atol=1e-12)
    assert fitted.right.tolist() == [True, True]


@given(st.integers(0, 2**16), st.integers(2, 4), st.integers(1, 4))
def test_it_equals_leaving_each_clip_out_in_a_loop(seed: int, classes: int, shots: int) -> None:
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(classes), shots)
    embeddings = rng.standard_normal((len(targets), 5)).astype(np.float32)
    fitted = cross_fit(embeddings, targets)
    assert len(fitted.rows) == (len(targets) if shots > 1 else 0)
    for cosines, row in zip(fitted.cosines, fitted.rows, strict=True):
        for number in range(classes):
            others = [index for index in np.flatnonzero(targets == number) if index != row]
            mean = embeddings[others].astype(np.float64).mean(axis=0)
            clip = embeddings[row].astype(np.float64)
            expected = clip @ mean / np.linalg.norm(clip) / np.linalg.norm(mean)
            np.testing.assert_allclose(cosines[number], expected, atol=1e-9)
