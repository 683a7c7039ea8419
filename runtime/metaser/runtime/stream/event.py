"""The events of a stream."""

from __future__ import annotations

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
