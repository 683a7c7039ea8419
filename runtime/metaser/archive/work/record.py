"""A record: the results of one unit, as a line of a shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from metaser.archive.source.unit import Span
from metaser.runtime.scoring.decision import Decision


class Row(NamedTuple):
    """One stretch of a recording with its label, or with the reason why it has none."""

    start_s: float | None
    end_s: float | None
    label: str | None = None
    """None for unknown, and for a stretch without a label."""

    confidence: float = 0.0
    scores: tuple[float, ...] = ()
    """Probability of each class, in the order of the profile's labels."""

    notices: tuple[str, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, start_s: float, end_s: float, decision: Decision, notices: Iterable[str] = ()) -> Row:
        """The row of a labelled stretch, rounded to milliseconds and four digits."""
        scores = tuple(round(score, 4) for score in decision.scores.values())
        return cls(
            round(start_s, 3), round(end_s, 3), decision.label, round(decision.confidence, 4), scores, tuple(notices)
        )


@dataclass(frozen=True)
class Record:
    """The results of one unit: one row, or for a long recording one per utterance."""

    path: str
    span: Span
    rows: tuple[Row, ...]

    @property
    def key(self) -> bytes:
        """The key of its unit."""
        return key_of(self.path, self.span)

    @property
    def failed(self) -> bool:
        """Whether a part of it has no label."""
        return any(row.error for row in self.rows)

    def to_line(self) -> str:
        """The record as one line of JSON."""
        return json.dumps({"path": self.path, "span": self.span, "rows": self.rows}, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> Record:
        """Read a line.

        Raises:
            ValueError: it is not a record.
        """
        try:
            document = json.loads(line)
            start_s, end_s = document["span"]
            return cls(document["path"], (start_s, end_s), tuple(map(_row, document["rows"])))
        except (KeyError, TypeError) as error:
            raise ValueError("it is not a record") from error


def key_of(path: str, span: Span) -> bytes:
    """The key of a unit: 16 bytes."""
    return hashlib.blake2b(
        f"{path}\0{span[0]!r}\0{span[1]!r}".encode(errors="surrogateescape"), digest_size=16
    ).digest()


def _row(values: Sequence[Any]) -> Row:
    start_s, end_s, label, confidence, scores, notices, error = values
    return Row(start_s, end_s, label, confidence, tuple(scores), tuple(notices), error)
