"""Formats of values of benchmarks/results in a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tools.results_tables import difference, verdict


def percent(share: float) -> str:
    """`0.244` -> `24`."""
    return f"{100 * share:.0f}"


def percent_1(share: float) -> str:
    """`0.0917` -> `9.2`."""
    return f"{100 * share:.1f}"


def points(entry: Mapping[str, float]) -> str:
    """The mean of a difference: `+4.8`."""
    return f"{entry['mean']:+.1f}"


def points_over_episodes(entry: Mapping[str, float]) -> str:
    """The same with its interval over episodes: `+2.0 ± 1.5`."""
    return f"{entry['mean']:+.1f} ± {entry.get('interval', entry.get('interval_95')):.1f}"


def brackets(bounds: Sequence[float]) -> str:
    """`[-0.51, 4.57]` -> `[-0.5, +4.6]`."""
    return f"[{bounds[0]:+.1f}, {bounds[1]:+.1f}]"


def decided(entry: Mapping[str, Any]) -> str:
    """A difference, bold if it is decided."""
    return f"**{difference(entry)}**" if entry["decided"] else difference(entry)


def share(entry: Mapping[str, float]) -> str:
    """`{"mean": 0.0645, "interval_95": 0.0133}` -> `6.5 ± 1.3`, in per cent."""
    return f"{100 * entry['mean']:.1f} ± {100 * entry['interval_95']:.1f}"


def share_range(bounds: Sequence[float]) -> str:
    """`[0.0, 0.214]` -> `0 to 21`, in per cent."""
    return f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f}"


def option(entry: Mapping[str, Any]) -> str:
    """A difference and half of its interval over episodes: `-1.9 ± 1.5`."""
    low, high = entry["interval_over_episodes"]
    return f"{entry['difference']:+.1f} ± {(high - low) / 2:.1f}"


def rounded(text: str) -> str:
    """`-0.39 ± 0.47 [-1.28, -0.07]` -> `-0.4 ± 0.5 [-1.3, -0.1]`."""
    return re.sub(r"([+-]?)(\d+\.\d+)", lambda found: f"{found[1]}{float(found[2]):.1f}", text)


FORMATS: dict[str, Callable[[Any], str]] = {
    "percent": percent,
    "percent_1": percent_1,
    "points": points,
    "points_over_episodes": points_over_episodes,
    "difference": difference,
    "decided": decided,
    "brackets": brackets,
    "verdict": verdict,
    "share": share,
    "range": share_range,
    "option": option,
    "rounded": rounded,
    "list": ", ".join,
}
