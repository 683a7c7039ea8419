"""Cosines, softmax and `unknown`, against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from metaser.runtime.scoring.decision import Calibration, decide, probabilities, prototype, unit


def test_a_prototype_is_the_normalised_mean_of_embeddings_that_are_not() -> None:
    embeddings = np.array([[3.0, 0.0], [0.0, 1.0]], np.float32)
    # mean (1.5, 0.5), length sqrt(2.5); normalising first would give (0.707, 0.707)
    np.testing.assert_allclose(prototype(embeddings), [1.5 / math.sqrt(2.5), 0.5 / math.sqrt(2.5)], rtol=1e-6)


def test_probabilities_are_a_softmax_of_scaled_cosines() -> None:
    prototypes = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    embedding = np.array([[2.0, 0.0]], np.float32)  # cosines 1 and 0
    expected = math.exp(10 / 5) / (math.exp(10 / 5) + 1)
    np.testing.assert_allclose(probabilities(embedding, prototypes, 10.0, 5.0), [[expected, 1 - expected]], rtol=1e-12)


def test_an_embedding_of_zeros_is_undecided() -> None:
    prototypes = np.eye(4, dtype=np.float32)
    np.testing.assert_allclose(probabilities(np.zeros((1, 4), np.float32), prototypes, 10.0, 1.0), [[0.25] * 4])


@pytest.mark.parametrize(
    ("calibration", "label"),
    [
        (Calibration(), "a"),
        (Calibration(threshold=0.5), "a"),
        (Calibration(threshold=0.51), None),
        (Calibration(margin=0.2), "a"),
        (Calibration(margin=0.21), None),
    ],
)
def test_the_label_is_unknown_below_threshold_or_margin(calibration: Calibration, label: str | None) -> None:
    decision = decide(np.array([0.5, 0.3, 0.2]), ("a", "b", "c"), calibration)
    assert decision.label == label
    assert decision.confidence == 0.5
    assert decision.scores == {"a": 0.5, "b": 0.3, "c": 0.2}


finite = st.floats(-1e3, 1e3, width=32)


@given(
    arrays.arrays(np.float32, (3, 4), elements=finite),
    arrays.arrays(np.float32, (5, 4), elements=finite),
    st.floats(0.01, 100),
)
def test_probabilities_sum_to_one_and_ignore_the_length_of_embeddings(
    embeddings: np.ndarray, prototypes: np.ndarray, temperature: float
) -> None:
    rows = probabilities(embeddings, prototypes, 10.0, temperature)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-9)
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows, probabilities(2 * embeddings, prototypes, 10.0, temperature), atol=1e-9)


@given(arrays.arrays(np.float32, (4, 3), elements=finite))
def test_unit_rows_have_length_one_or_zero(vectors: np.ndarray) -> None:
    length = np.linalg.norm(unit(vectors), axis=1)
    assert ((np.abs(length - 1) < 1e-9) | (length == 0)).all()
