"""Text as a cell of CSV that a spreadsheet does not take for a formula."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from metaser.runtime.words import plain

FORMULA_SIGNS = frozenset("=+-@＝＋－＠")  # noqa: RUF001 # also the full-width ones
CELL_STARTS = frozenset("\t\r\n")
"""A spreadsheet reads a cell that begins with one of these as a formula (OWASP, CSV injection)."""


def csv_cell(text: str) -> str:
    """Text that a spreadsheet shows as it is: one line, and with an apostrophe in front if it looks like a formula."""
    is_formula = text[:1] in CELL_STARTS or text.lstrip()[:1] in FORMULA_SIGNS
    return f"'{plain(text)}" if is_formula else plain(text)


def score_columns(labels: Iterable[str], others: Collection[str]) -> list[str]:
    """The columns of the scores: the labels; one that is also the name of another column becomes `score of LABEL`."""
    return [f"score of {label}" if label in others else label for label in labels]
