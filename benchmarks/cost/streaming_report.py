"""The table of all streaming runs in Markdown, from their JSON document."""

from __future__ import annotations

from typing import Any

COLUMNS = {
    "p50, ms": "window_to_event_ms_p50",
    "p95, ms": "window_to_event_ms_p95",
    "lost, ms": "dropped_ms",
    "overloads": "overload_events",
    "widest hop, s": "widest_hop_s",
    "behind at the end, s": "behind_at_the_end_s",
    "cores": "cores_all_streams",
    "a core in silence, %": "core_share_silence",
    "first label, s": "first_label_s_median",
    "growth in an hour, MB": "hour_memory_growth_mb",
}


def to_markdown(document: dict[str, Any]) -> str:
    """The page: machine, table and explanation of the columns."""
    machine = document["machine"]
    lines = [
        "# Live streams",
        "",
        f"{machine['processor']} ({', '.join(machine['flags']) or 'no vector flags'}), {machine['cores']} cores. "
        f"`{document['command']}`",
        "",
        "Each run plays the demonstration's conversation of one minute into every stream in real time, from a "
        "different start in each unless the row is marked in step. p50 and p95: from a window's last sample to its "
        "label. First label: from the start of the process, including the second of speech it needs. Cores: busy on "
        "average, all streams together. A fixed 1024³ float32 product took "
        f"{_range(document)} ms around the runs.",
        "",
        "| | " + " | ".join(COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for name, run in document["runs"].items():
        lines.append(f"| {name} | " + " | ".join(_cell(key, run.get(key)) for key in COLUMNS.values()) + " |")
    return "\n".join(lines) + "\n"


def _range(document: dict[str, Any]) -> str:
    products = [each for run in document["runs"].values() for each in run["matrix_product_ms"]]
    return f"{min(products):.1f} to {max(products):.1f}"


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f}" if key == "core_share_silence" else f"{value:g}"
