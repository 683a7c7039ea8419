"""The summary of a job: how many rows have which label, and why others have none."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from metaser.archive.tables.rows import ResultRow

MOST_ERRORS = 20


@dataclass
class Summary:
    """What a job has labelled."""

    rows: int = 0
    labelled_s: float = 0.0
    """Seconds of audio that got a label."""

    labels: Counter[str] = field(default_factory=Counter)
    """Label -> number of rows, with `unknown`."""

    label_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Label -> seconds."""

    confidence: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Label -> sum of the confidences of its rows."""

    failed: int = 0
    """Rows without a label."""

    with_notices: int = 0
    """Rows whose label may mean little."""

    errors: list[str] = field(default_factory=list)
    """The first rows without a label, with the reason."""

    finished: bool = True
    """False if it was stopped before all was labelled; then no results are written."""

    notices: list[str] = field(default_factory=list)
    """What of the source was left out."""

    def take(self, result: ResultRow) -> None:
        """Count a row."""
        row = result.row
        self.rows += 1
        if row.error:
            self.failed += 1
            if len(self.errors) < MOST_ERRORS:
                reason = row.error.removeprefix(f"{Path(result.unit.path).name} ")
                self.errors.append(f"{result.unit.shown}: {reason}")
            return
        duration_s = (row.end_s or 0.0) - (row.start_s or 0.0)
        self.labelled_s += duration_s
        self.labels[result.label] += 1
        self.label_s[result.label] += duration_s
        self.confidence[result.label] += row.confidence
        self.with_notices += bool(row.notices)
