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
        rows.writerow(header(results.labels, others))
        for result in results:
            rows.writerow(_cells(result, len(results.labels), others))
            lines.write((json.dumps(_document(result, results.labels)) + "\n").encode())
            take(result)
        text.flush()
        text.detach()


def header(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """The columns of the CSV: a column of the manifest that has the name of one of ours begins with `manifest_`."""
    ours = [*BEFORE_SCORES, *score_columns(labels, (*BEFORE_SCORES, *AFTER_SCORES)), *AFTER_SCORES]
    theirs = [f"manifest_{column}" if column in ours else column for column in others]
    return [csv_cell(column) for column in (*ours, *theirs)]


def _cells(result: ResultRow, classes: int, others: Sequence[str]) -> list[str]:
    unit, row = result.unit, result.row
    scores = [f"{score:.4f}" for score in row.scores] or [""] * classes
    confidence = "" if row.error else f"{row.confidence:.4f}"
    return [
        csv_cell(unit.shown),
        *(_seconds(time_s) for time_s in (row.start_s, row.end_s)),
        csv_cell(unit.speaker),
        csv_cell(unit.text),
        csv_cell(result.label),
        confidence,
        *scores,
        csv_cell("; ".join(row.notices)),
        csv_cell(row.error),
        *(csv_cell(unit.others.get(column, "")) for column in others),
    ]


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


def _seconds(time_s: float | None) -> str:
    return "" if time_s is None else f"{time_s:.3f}"
