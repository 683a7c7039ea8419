"""Labelled segments of a recording, and how well two lists of them agree."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One label from `start_s` to `end_s`."""

    label: str | None
    """None for unknown."""

    start_s: float
    end_s: float
    confidence: float = 1.0

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


def overlap_s(one: Span, other: Span) -> float:
    """How long two spans overlap."""
    return max(0.0, min(one.end_s, other.end_s) - max(one.start_s, other.start_s))


def share_right(truth: Iterable[Span], heard: Sequence[Span]) -> float:
    """The share of the truth's time that has the correct label; 0 without any truth."""
    total_s = correct_s = 0.0
    for true in truth:
        total_s += true.duration_s
        correct_s += sum(overlap_s(true, span) for span in heard if span.label == true.label)
    return correct_s / total_s if total_s else 0.0


def heard_during(said: Span, heard: Iterable[Span]) -> Span | None:
    """The predicted span that overlaps most with `said`, a true span; None if there is none."""
    best = max(heard, key=lambda span: overlap_s(said, span), default=None)
    return best if best is not None and overlap_s(said, best) > 0 else None


def span_at(time_s: float, spans: Sequence[Span]) -> Span | None:
    """The span at a moment, from spans in order of time; None if there is none."""
    index = bisect_right(spans, time_s, key=lambda span: span.start_s) - 1
    return spans[index] if index >= 0 and time_s < spans[index].end_s else None
