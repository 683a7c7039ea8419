"""The plan of a job: the units of the source by recording, of which those without a record are labelled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metaser.archive.source.unit import WHOLE, Span, Unit
from metaser.archive.work.labeller import Group
from metaser.archive.work.record import key_of
from metaser.archive.work.shards import Shards

LEAST_OVERLAP_S = 0.05
ONLY_WHOLE: dict[Span, None] = {WHOLE: None}
"""Shared by all recordings without parts, as there may be a million of them."""


class Plan:
    """The units of a source by recording, in the order of their first row."""

    def __init__(self, source: Iterable[Unit]) -> None:
        self._spans: dict[str, dict[Span, None]] = {}
        self.rows = 0
        """Number of rows of the source, also of those that cannot be labelled."""

        for unit in source:
            self.rows += 1
            if not unit.error:
                self._add(unit.path, unit.span)
        self.units = sum(len(spans) for spans in self._spans.values())
        """Number of different units that can be labelled."""

        self._overlapping = {
            (path, span) for path, spans in self._spans.items() if len(spans) > 1 for span in overlapping(spans)
        }

    def missing(self, shards: Shards) -> Iterator[Group]:
        """Yield the recordings with units that have no record yet, and these units."""
        for path, spans in self._spans.items():
            if missing := [span for span in spans if key_of(path, span) not in shards]:
                yield path, missing

    def overlaps(self, unit: Unit) -> bool:
        """Whether another part of the same recording overlaps with this one."""
        return (unit.path, unit.span) in self._overlapping

    def _add(self, path: str, span: Span) -> None:
        if span == WHOLE:
            self._spans.setdefault(path, ONLY_WHOLE)
        spans = self._spans.setdefault(path, {})
        if span not in spans:
            self._spans[path] = {**spans, span: None} if spans is ONLY_WHOLE else spans
            self._spans[path][span] = None


def overlapping(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the parts, with an end, that overlap with another one."""
    parts = sorted((start_s or 0.0, end_s, start_s) for start_s, end_s in spans if end_s is not None)
    latest_end_s = 0.0
    for place, (start_s, end_s, given_start_s) in enumerate(parts):
        next_start_s = parts[place + 1][0] if place + 1 < len(parts) else end_s
        if latest_end_s - start_s > LEAST_OVERLAP_S or end_s - next_start_s > LEAST_OVERLAP_S:
            yield given_start_s, end_s
        latest_end_s = max(latest_end_s, end_s)
