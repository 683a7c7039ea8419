"""Reading untrusted or damaged JSON: only finite numbers, and no deep nesting."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 32
"""Most levels of nested lists and objects; Python's own functions fail at some hundreds."""

MAX_DIGITS = 18
"""Most digits of a whole number, so that it fits into 64 bits."""


def read_json_text(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, holds a number that is not finite or too large, or is nested too deeply.
    """
    try:
        document = json.loads(text, parse_float=finite, parse_int=_whole, parse_constant=finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if _is_deeper(document, MAX_DEPTH):
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return document


def finite(value: Any) -> float:
    """A number, or the text of one, as a float.

    Raises:
        TypeError, ValueError: it is not a number, or not finite.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{str(value)[:MAX_DIGITS]} is not a finite number")
    return number


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"{text[:MAX_DIGITS]}... is too large")
    return int(text)


def _is_deeper(value: Any, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(part, levels - 1) for part in parts)
