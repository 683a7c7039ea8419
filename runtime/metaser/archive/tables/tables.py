"""The results as CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from metaser.archive.tables.rows import ResultRow, Results
from metaser.runtime.csv_cells import csv_cell, score_columns
from metaser.runtime.system.files import replacing

CSV_NAME, JSON_NAME = "labels.csv", "labels.jsonl"
BEFORE_SCORES = ("path", "start_s", "end_s", "speaker", "text", "label", "confidence")
AFTER_SCORES = ("notices", "error")

Take: TypeAlias = "Callable[[ResultRow], object]"


def write_tables(results: Results, out: Path, take: Take) -> None:
    """Write the rows as `labels.csv` and `labels.jsonl`, and pass each to `take`.

    Raises:
        WorkError: a file cannot be written; an older one is untouched.
    """
    others = results.source.columns
    with replacing(out / CSV_NAME) as table, replacing(out / JSON_NAME) as lines:
        text = io.TextIOWrapper(table, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(map(csv_cell, header(results.labels, others)))
        for result in results:
            rows.writerow(map(_csv_cell, cells(result, len(results.labels), others)))
            line = json.dumps(_document(result, results.labels), ensure_ascii=False) + "\n"
            lines.write(line.encode(errors="backslashreplace"))  # a name that is not UTF-8
            take(result)
        text.flush()
        text.detach()


def header(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """The columns of the CSV: a column of the manifest that has the name of one of ours begins with `manifest_`."""
    ours = [*BEFORE_SCORES, *score_columns(labels, (*BEFORE_SCORES, *AFTER_SCORES)), *AFTER_SCORES]
    return [*ours, *(f"manifest_{column}" if column in ours else column for column in others)]


def cells(result: ResultRow, classes: int, others: Sequence[str]) -> list[str | float | None]:
    """The values of a row, in the order of `header`; None for an empty cell."""
    unit, row = result.unit, result.row
    return [
        unit.shown,
        row.start_s,
        row.end_s,
        unit.speaker,
        unit.text,
        result.label,
        None if row.error else row.confidence,
        *(row.scores or [None] * classes),
        "; ".join(row.notices),
        row.error,
        *(unit.others.get(column, "") for column in others),
    ]


def _csv_cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return csv_cell(value) if isinstance(value, str) else str(value)


def _document(result: ResultRow, labels: Sequence[str]) -> dict[str, object]:
    unit, row = result.unit, result.row
    return {
        "path": unit.shown,
        "start_s": row.start_s,
        "end_s": row.end_s,
        "speaker": unit.speaker or None,
        "text": unit.text or None,
        "label": row.label,
        "confidence": None if row.error else row.confidence,
        "scores": dict(zip(labels, row.scores, strict=False)),
        "notices": row.notices,
        "error": row.error or None,
        "manifest": dict(unit.others),
    }
