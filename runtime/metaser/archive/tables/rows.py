"""The rows of the results: the units of the source, joined with their records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from metaser.archive.source.source import Source
from metaser.archive.source.unit import WHOLE, Unit
from metaser.archive.transcripts.cue import Mark
from metaser.archive.work.plan import Plan
from metaser.archive.work.record import Row, key_of
from metaser.archive.work.shards import Shards
from metaser.runtime.enrolment.labels import UNKNOWN

CHANGED = "it was not labelled, as the source changed meanwhile: run the command again"
OVERLAPS = "it overlaps with another part of the recording"


class ResultRow(NamedTuple):
    """A row of the results."""

    unit: Unit
    row: Row
    is_clip: bool = False
    """It is the only row of a whole recording."""

    @property
    def label(self) -> str:
        """The label, `unknown` if it resembles no class, or nothing without a label."""
        return "" if self.row.error else self.row.label or UNKNOWN


class Results:
    """The rows of a job, in the order of the source; each iteration reads them again."""

    def __init__(self, source: Source, plan: Plan, shards: Shards, labels: tuple[str, ...]) -> None:
        self.source = source
        self.labels = labels
        self._plan = plan
        self._shards = shards

    def __iter__(self) -> Iterator[ResultRow]:
        for unit in self.source:
            rows = self._rows(unit)
            is_clip = unit.span == WHOLE and len(rows) == 1
            for row in rows:
                yield ResultRow(unit, row, is_clip)

    def mark(self, unit: Unit) -> Mark | None:
        """The label of a cue of a transcript; None if it has none."""
        result = ResultRow(unit, self._rows(unit)[0])
        if result.row.error:
            return None
        return Mark(result.label, result.row.confidence, dict(zip(self.labels, result.row.scores, strict=True)))

    def _rows(self, unit: Unit) -> tuple[Row, ...]:
        if unit.error:
            return (Row(*unit.span, error=unit.error),)
        record = self._shards.record(key_of(unit.path, unit.span))
        if record is None:
            return (Row(*unit.span, error=CHANGED),)
        if self._plan.overlaps(unit):
            return tuple(row._replace(notices=(*row.notices, OVERLAPS)) for row in record.rows)
        return record.rows
