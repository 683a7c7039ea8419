"""Numbers and kinds of values in messages: "1 clip", "2 clips", "an int"."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LETTERS = 40
"""A longer text is not repeated in a message."""


VOWELS = tuple("aeiouAEIOU")


JOINERS = "\u200c\u200d"
"""Zero-width characters that occur in Persian and Hindi words and in emoji."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, in the plural unless the number is 1: "1 clip", "2 classes"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {plural or (f'{noun}es' if noun.endswith('s') else f'{noun}s')}"


def listed(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first names of a list, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def kind_of(given: object) -> str:
    """The type of a value with its article: "a list", "an int", "bytes", "None"."""
    if given is None:
        return "None"
    name = type(given).__name__
    if name == "bytes":
        return name
    return f"{'an' if name.startswith((*VOWELS, 'nd')) else 'a'} {name}"


def shown(given: object) -> str:
    """A short value as it was written, any other by its type."""
    if isinstance(given, (str, bytes, bool, int, float)) and len(repr(given)) <= MOST_LETTERS:
        return repr(given)
    return kind_of(given)


def plain(text: object) -> str:
    r"""Text for one line of a terminal or file: control characters in names and labels become `\n` or `\x1b`."""
    return "".join(
        letter if letter.isprintable() or letter in JOINERS else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )
