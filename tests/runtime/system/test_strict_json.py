"""JSON is read only with finite numbers and limited nesting."""

import pytest

from metaser.runtime.system.strict_json import MAX_DEPTH, finite, read_json_text


def test_numbers_text_and_parts_come_as_they_are() -> None:
    assert read_json_text('{"a": [1, -2.5, "x", null, true], "b": {}}') == {"a": [1, -2.5, "x", None, True], "b": {}}
    assert read_json_text(b'{"n": 999999999999999999}') == {"n": 999_999_999_999_999_999}


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "[1e999]"])
def test_numbers_that_are_not_finite_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a finite number"):
        read_json_text(text)


@pytest.mark.parametrize("text", ["9" * 19, "-" + "9" * 19, "1" + "0" * 400, "1" + "0" * 5000])
def test_whole_numbers_over_64_bits_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        read_json_text(text)


def test_deep_nesting_is_refused_whatever_its_depth() -> None:
    assert read_json_text("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 2, 900, 200_000):
        with pytest.raises(ValueError, match=r"nested"):
            read_json_text("[" * depth + "]" * depth)


def test_text_of_a_number_is_one_unless_it_is_not_finite() -> None:
    assert finite("2.5") == 2.5
    with pytest.raises(ValueError, match="nan is not a finite number"):
        finite("nan")
