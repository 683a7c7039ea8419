"""The results as a spreadsheet for Excel and LibreOffice, whose numbers are numbers in every language."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metaser.archive.tables.rows import Results
from metaser.archive.tables.tables import cells, header
from metaser.runtime.errors import InputError, MissingDependencyError
from metaser.runtime.system.files import replacing
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from types import ModuleType

NAME = "labels.xlsx"
MOST_ROWS = 1_048_576
"""Of a sheet, with the header (Microsoft, Excel specifications and limits)."""

MOST_LETTERS = 32_767
"""Of a cell."""

WIDTHS = {"path": 30, "text": 60, "notices": 30, "error": 30}


def xlsxwriter() -> ModuleType:
    """The library that writes spreadsheets.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import xlsxwriter as library
    except ImportError as error:
        raise MissingDependencyError("--xlsx needs XlsxWriter: pip install 'metaser[archive]'") from error
    return library


def write_spreadsheet(results: Results, out: Path, rows: int) -> None:
    """Write the rows, whose number is known, as `labels.xlsx`.

    Raises:
        InputError: there are more rows than a sheet can hold.
        WorkError: it cannot be written; an older one is untouched.
    """
    if rows >= MOST_ROWS:
        raise InputError(f"{rows:,} rows are too many for a spreadsheet: use labels.csv, without --xlsx")
    columns = header(results.labels, results.source.columns)
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with replacing(out / NAME) as file, xlsxwriter().Workbook(file, options) as book:
        sheet = book.add_worksheet("labels")
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, rows, len(columns) - 1)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, WIDTHS.get(column, 12))
            sheet.write_string(0, place, plain(column), book.add_format({"bold": True}))
        for number, result in enumerate(results, start=1):
            for place, value in enumerate(cells(result, len(results.labels), results.source.columns)):
                if isinstance(value, str) and value:
                    sheet.write_string(number, place, plain(value)[:MOST_LETTERS])
                elif isinstance(value, (int, float)):
                    sheet.write_number(number, place, value)
