"""What a stream has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamEvent:
    """What a stream has to say; times are seconds from the stream's first sample."""

    event: str
    """`enter` a label, `update` it, `leave` it for good, `silence` begins, `overload` of a live stream."""

    label: str | None
    """The class; None for unknown, for silence and for an overload."""

    start_s: float
    end_s: float | None
    """None while open."""

    confidence: float
    """Probability of the label; of the best class if it is unknown."""

    scores: dict[str, float]
    """Probability of each class; empty for silence and for an overload."""

    latency_ms: float
    """From the sample that made the event due, or in a pulled stream from the push that held it, to the event."""

    dropped_ms: float = 0.0
    """Audio lost so far; pulled sources lose none."""
