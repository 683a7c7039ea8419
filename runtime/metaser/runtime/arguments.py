"""Checking what a caller gives: one rule per argument of the library, and one per type of a dataclass's field.

    check(live=live, max_s=max_s)    the arguments of a function, by their names
    check_fields(self)               the fields of a dataclass, by their types
    check_type(...)                  an object of the library, such as a profile

Arrays, rates, paths and labels have checks of their own, in `audio/samples.py`, `given_path` and `check_label`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np

from metaser.runtime.errors import InputError
from metaser.runtime.words import kind_of, shown


@dataclass(frozen=True)
class Rule:
    """What is accepted, in words that follow "give", and the test of it."""

    wanted: str
    accepts: Callable[[Any], Any]
    """Its result counts as true or false."""

    called: str = ""
    """What the value is, in words; else its name is given."""

    def or_none(self) -> Rule:
        """This rule, and None is accepted too."""
        return Rule(self.wanted, lambda given: given is None or self.accepts(given))


def is_number(given: object) -> bool:
    """Whether this is one finite number; True and False are not numbers."""
    try:
        return isinstance(given, Real) and not isinstance(given, bool) and math.isfinite(given)
    except OverflowError:  # a whole number beyond all floats
        return False


def is_whole(given: object) -> bool:
    """Whether this is one whole number of an integer type."""
    return isinstance(given, Integral) and not isinstance(given, bool)


def _is_rows(given: Any) -> Any:
    """Whether this is an array [M, E] of finite floats."""
    return isinstance(given, np.ndarray) and given.ndim == 2 and given.dtype.kind == "f" and np.isfinite(given).all()


def _is_contour(given: Any) -> Any:
    """Whether this is an array uint8 [4, N]."""
    return isinstance(given, np.ndarray) and given.ndim == 2 and len(given) == 4 and given.dtype == np.uint8


FLAG = Rule("True or False", lambda given: isinstance(given, (bool, np.bool_)))
NUMBER = Rule("a finite number", is_number)
ABOVE_0 = Rule("a number above 0", lambda given: is_number(given) and given > 0)
FROM_0 = Rule("a number of 0 or more", lambda given: is_number(given) and given >= 0)
WHOLE = Rule("a whole number", is_whole)
MOST_THREADS = 64
"""More take turns on any machine that this is for, and each waits for the others."""

COUNT = Rule(f"a whole number from 1 to {MOST_THREADS}", lambda given: is_whole(given) and 1 <= given <= MOST_THREADS)
TEXT = Rule("text", lambda given: isinstance(given, str))
FUNCTION = Rule("a function, or None", lambda given: given is None or callable(given))
ROWS = Rule("a finite float array [M, E]", _is_rows)

ARGUMENTS = {
    "accept_precision": FLAG,
    "dropped_ms": FROM_0,
    "waited_s": FROM_0,
    "false_accepts": Rule(
        "a number between 0 and 1, such as 0.05, or leave it out",
        lambda given: given is None or (is_number(given) and 0 < given < 1),
        "the false-accept rate",
    ),
    "force": FLAG,
    "groups": FLAG,
    "heard_at": NUMBER.or_none(),
    "live": FLAG,
    "max_s": ABOVE_0,
    "notify": FUNCTION,
    "of_bundle": ABOVE_0,
    "patience_s": FROM_0,
    "progress": FUNCTION,
    "provider": TEXT,
    "threads": Rule(f"{COUNT.wanted}, or leave it out", COUNT.or_none().accepts),
    "workers": COUNT,
}
"""Name of an argument -> what is accepted, wherever it occurs."""

FIELDS = {
    "bool": FLAG,
    "int": WHOLE,
    "float": NUMBER,
    "float | None": NUMBER.or_none(),
    "str": TEXT,
    "Method": TEXT,
    "Contour | None": Rule("a uint8 array [4, N]", _is_contour).or_none(),
    "Embeddings": ROWS,
    "Embeddings | None": ROWS.or_none(),
    "tuple[str, ...]": Rule(
        "a tuple of texts",
        lambda given: isinstance(given, tuple) and all(isinstance(each, str) for each in given),
    ),
    "tuple[Clip, ...]": Rule(
        "a tuple of Clip(...)",
        lambda given: isinstance(given, (tuple, list)) and all(_is_a(each, "Clip") for each in given),
    ),
}
"""Type of a field, as written -> what is accepted. Any other type is the name of a class."""


def check(**given: object) -> None:
    """Check arguments by their names.

    Raises:
        InputError: a value has the wrong type, is out of range or is not finite.
    """
    for name, value in given.items():
        _follow(ARGUMENTS[name], name, value, InputError)


def check_fields(given: Any, error: type[InputError] = InputError) -> None:
    """Check the fields of a dataclass by their types; numbers have to be finite.

    Raises:
        InputError: of the type `error`: a value has another type, or is not finite.
    """
    for item in fields(given):
        kind = str(item.type)
        _follow(FIELDS.get(kind) or _class_rule(kind), item.name, getattr(given, item.name), error)


def check_type(given: object, what: str, kind: type, wanted: str, error: type[InputError] = InputError) -> None:
    """Check that an object of the library was given.

    Raises:
        InputError: of the type `error`: it is anything else.
    """
    if not isinstance(given, kind):
        raise error(f"{what} is {kind_of(given)}: {wanted}")


def _follow(rule: Rule, name: str, value: object, error: type[InputError]) -> None:
    if not rule.accepts(value):
        raise error(f"{rule.called or name} is {shown(value)}: give {rule.wanted}")


def _class_rule(kind: str) -> Rule:
    name = kind.removesuffix(" | None")
    rule = Rule(f"{name}(...)", lambda given: _is_a(given, name))
    return rule if name == kind else rule.or_none()


def _is_a(given: object, name: str) -> bool:
    """Whether the class of a value, or a class above it, has this name; the class need not be imported."""
    return any(each.__name__ == name for each in type(given).__mro__)
