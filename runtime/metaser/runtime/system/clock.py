"""The time of day, for events that other programs keep."""

from __future__ import annotations

from datetime import datetime, timezone


def time_of_day() -> str:
    """Now, in ISO 8601 and UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
