"""A manifest: a table of recordings as CSV, JSON lines or Parquet, read row by row."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metaser.archive.source.unit import Span, Unit, fault_of_span
from metaser.runtime.errors import InputError, MissingDependencyError
from metaser.runtime.system.os_errors import advice
from metaser.runtime.system.strict_json import read_json_text
from metaser.runtime.words import kind_of, listed, shown

TABLES = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
SUFFIXES = (*TABLES, *JSON_LINES, PARQUET)

DELIMITERS = (",", ";", "\t")
NEEDED = "path"
OURS = ("path", "start_s", "end_s", "speaker", "text")
"""The columns with a meaning; all others are copied to the results."""

PARQUET_ROWS = 4096  # read at once


def is_manifest(path: Path) -> bool:
    """Whether the suffix is that of a manifest."""
    return path.suffix.lower() in SUFFIXES


class Manifest:
    """A table of recordings with the columns path and, if wanted, start_s, end_s, speaker and text.

    Paths are relative to the manifest's folder. Each iteration reads the file again, so it is never in memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = os.path.abspath(path.parent)  # noqa: PTH100 # pathlib resolves links

    def __iter__(self) -> Iterator[Unit]:
        """Yield a unit per row.

        Raises:
            InputError: the file cannot be read, has no column `path`, or a row is not one of the table.
            MissingDependencyError: it is Parquet and pyarrow is not installed.
        """
        try:
            for number, row in self._rows():
                yield self._unit(number, row)
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path} is not UTF-8: save it as UTF-8 (in Excel: CSV UTF-8)") from error
        except OSError as error:
            what_to_do = advice(error) or "check its disk"
            raise InputError(f"{self.path} cannot be read ({error.strerror or error}): {what_to_do}") from error

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield (line or row number, values by column)."""
        suffix = self.path.suffix.lower()
        if suffix in TABLES:
            return self._table_rows()
        return self._parquet_rows() if suffix == PARQUET else self._json_rows()

    def _table_rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            delimiter = max(DELIMITERS, key=head.count)
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            try:
                columns = [_tidy(column) for column in next(rows, [])]
                self._check_columns(columns)
                for values in rows:
                    if not any(values):
                        continue
                    if len(values) != len(columns):
                        raise InputError(
                            f"{self.path} line {rows.line_num} has {len(values)} values for {len(columns)} columns"
                        )
                    yield rows.line_num, dict(zip(columns, values, strict=True))
            except csv.Error as error:
                raise InputError(f"{self.path} line {rows.line_num} is not CSV ({error})") from error

    def _json_rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with self.path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = read_json_text(line)
                except ValueError as error:
                    raise InputError(f"{self.path} line {number} is not JSON ({error})") from error
                if not isinstance(row, dict):
                    raise InputError(f"{self.path} line {number} is {kind_of(row)}: give an object with a path")
                if NEEDED not in row:
                    self._check_columns(list(row), f" line {number}")
                yield number, row

    def _parquet_rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise MissingDependencyError("Parquet needs pyarrow: pip install 'metaser[archive]'") from error
        number = 0
        try:
            with ParquetFile(self.path) as file:
                self._check_columns(file.schema_arrow.names)
                for batch in file.iter_batches(PARQUET_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, row
        except ArrowException as error:
            raise InputError(f"{self.path} is not Parquet ({str(error).splitlines()[0]})") from error

    def _check_columns(self, columns: list[str], place: str = "") -> None:
        if NEEDED not in columns:
            found = listed([shown(column) for column in columns], 8) or "none"
            raise InputError(
                f"{self.path}{place} has no column {NEEDED} (its columns: {found}): name the column of the recordings "
                f"{NEEDED}; start_s, end_s, speaker and text are optional"
            )
        if repeated := [column for column in dict.fromkeys(columns) if columns.count(column) > 1]:
            raise InputError(f"{self.path} has the column {shown(repeated[0])} twice: rename one")

    def _unit(self, number: int, row: Mapping[str, Any]) -> Unit:
        name = _text(row[NEEDED])
        if not name or "\0" in name:
            raise InputError(f"{self.path} line {number} has no path")
        error = ""
        span: Span = (None, None)
        try:
            span = _seconds(row, "start_s"), _seconds(row, "end_s")
        except ValueError as wrong:
            error = str(wrong)
        return Unit(
            os.path.normpath(os.path.join(self._folder, name)),  # noqa: PTH118 # many rows
            name,
            span,
            _text(row.get("speaker")),
            _text(row.get("text")),
            {column: _text(value) for column, value in row.items() if column not in OURS},
            error or fault_of_span(span),
        )


def _tidy(column: str) -> str:
    """A column's name; those with a meaning may be written with other cases."""
    name = column.strip()
    return name.lower() if name.lower() in OURS else name


def _text(value: object) -> str:
    return "" if value is None else value.strip() if isinstance(value, str) else str(value)


def _seconds(row: Mapping[str, Any], column: str) -> float | None:
    """A time in seconds; None if the cell is empty.

    Raises:
        ValueError: it is not a number.
    """
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return float(value.replace(",", ".") if isinstance(value, str) else value)  # 3,5 of spreadsheets
    except (ValueError, TypeError):
        raise ValueError(f"{column} is {shown(value)}: give seconds, such as 12.5") from None
