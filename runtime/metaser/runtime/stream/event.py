"""The events of a stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

EventKind: TypeAlias = Literal["enter", "update", "leave", "silence", "overload"]


@dataclass(frozen=True)
class StreamEvent:
    """An event of a stream; times are seconds from the stream's first sample."""

    event: EventKind
    """`enter` a label, `update` it, `leave` it for good, `silence` begins, `overload` of a live stream."""

    label: str | None
    """The class; None for unknown, for silence and for an overload."""

    start_s: float
    end_s: float | None
    """None while it continues."""

    confidence: float
    """Probability of the label; of the best class if it is unknown."""

    scores: dict[str, float]
    """Probability of each class; empty for silence and for an overload."""

    latency_ms: float
    """From the sample that made the event due, or in a pulled stream from the push with that sample, to the event."""

    dropped_ms: float = 0.0
    """Audio lost so far; pulled sources lose none."""

    def as_dict(self) -> dict[str, object]:
        """The event, rounded to milliseconds, as `metaser stream --json` prints it."""
        return {
            "event": self.event,
            "label": self.label,
            "start_s": round(self.start_s, 3),
            "end_s": None if self.end_s is None else round(self.end_s, 3),
            "confidence": round(self.confidence, 4),
            "scores": {label: round(score, 4) for label, score in self.scores.items()},
            "latency_ms": round(self.latency_ms, 3),
            "dropped_ms": round(self.dropped_ms, 3),
        }

    def to_json(self) -> str:
        """The same as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)
