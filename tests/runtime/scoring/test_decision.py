"""Cosines, softmax and `unknown`, against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from metaser.runtime import InputError
from metaser.runtime.scoring.decision import Calibration, cosines, decide, prototype, score, softmax, unit


def test_a_prototype_is_the_normalised_mean_of_embeddings_that_are_not() -> None:
    embeddings = np.array([[3.0, 0.0], [0.0, 1.0]], np.float32)
    # mean (1.5, 0.5), length sqrt(2.5); normalising first would give (0.707, 0.707)
    np.testing.assert_allclose(prototype(embeddings), [1.5 / math.sqrt(2.5), 0.5 / math.sqrt(2.5)], rtol=1e-6)


def test_scores_are_a_softmax_of_scaled_cosines() -> None:
    expected = math.exp(10 / 5) / (math.exp(10 / 5) + 1)
    rows = score(np.array([[1.0, 0.0]]), 10.0, Calibration(temperature=5.0))
    np.testing.assert_allclose(rows, [[expected, 1 - expected]], rtol=1e-12)


def test_an_embedding_of_zeros_is_undecided() -> None:
    prototypes = np.eye(4, dtype=np.float32)
    np.testing.assert_allclose(softmax(cosines(np.zeros((1, 4), np.float32), prototypes)), [[0.25] * 4])


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


@given(arrays.arrays(np.float64, (3, 5), elements=st.floats(-1, 1)), st.floats(0.01, 100))
def test_scores_sum_to_one(similarities: np.ndarray, temperature: float) -> None:
    rows = score(similarities, 10.0, Calibration(temperature=temperature))
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-9)
    assert (rows >= 0).all()


@given(arrays.arrays(np.float32, (4, 3), elements=finite))
def test_unit_rows_have_length_one_or_zero(vectors: np.ndarray) -> None:
    length = np.linalg.norm(unit(vectors), axis=1)
    assert ((np.abs(length - 1) < 1e-9) | (length == 0)).all()


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("threshold", 70.0, "a probability from 0 to 1"),
        ("threshold", -0.1, "a probability from 0 to 1"),
        ("margin", 5.0, "a probability from 0 to 1"),
        ("min_cosine", 3.0, "a cosine from -1 to 1"),
        ("strict_cosine", -2.0, "a cosine from -1 to 1"),
        ("temperature", 0.0, "a number above 0"),
    ],
)
def test_a_calibration_out_of_range_is_refused(field: str, value: float, wanted: str) -> None:
    with pytest.raises(InputError, match=wanted):
        Calibration(**{field: value})
