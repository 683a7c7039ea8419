"""Numbers and kinds of values in messages."""

import numpy as np
import pytest

from metaser.runtime.words import counted, kind_of, listed, shown


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(0, "clip", "0 clips"), (1, "clip", "1 clip"), (2, "class", "2 classes"), (1, "class", "1 class")],
)
def test_a_noun_is_in_the_plural_unless_there_is_one(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("given", "text"), [(1, "an int"), ([], "a list"), (None, "None"), (b"", "bytes"), (np.zeros(1), "an ndarray")]
)
def test_a_type_has_its_article(given: object, text: str) -> None:
    assert kind_of(given) == text


@pytest.mark.parametrize(("given", "text"), [("3", "'3'"), (True, "True"), ("x" * 99, "a str"), ({}, "a dict")])
def test_a_short_value_is_shown_and_a_long_one_is_described(given: object, text: str) -> None:
    assert shown(given) == text


def test_only_the_first_names_are_listed() -> None:
    assert (listed(["a", "b", "c"], 2), listed(["a"], 2)) == ("a, b and 1 more", "a")
