"""What an archive costs to label, from the measured throughput, as a table."""

from __future__ import annotations

from benchmarks.machine import read_result
from benchmarks.markdown import table

WORKERS = 2  # of the measured jobs
HOURS = (300, 10_000, 1_000_000)
CORES = (2, 16, 1000)


def cost_table() -> str:
    """Core-hours, and the time with some numbers of cores, for archives of recordings of one hour."""
    result = read_result("archive")
    long = result["long"]
    per_core = long["real_time"] / WORKERS
    results_mb, recordings_mb = (long[name] / long["hours"] for name in ("results_mb", "recordings_mb"))
    rows = [
        [
            f"{hours:,}",
            f"{hours / per_core:,.0f}",
            *(spent(hours / per_core / cores) for cores in CORES),
            size(hours * recordings_mb),
            size(hours * results_mb),
        ]
        for hours in HOURS
    ]
    columns = ["hours of recordings", "core-hours", *(f"on {cores:,} cores" for cores in CORES), "to read", "results"]
    read_mb_s = recordings_mb / 3600 * per_core
    processor, flags = result["machine"]["processor"], ", ".join(result["machine"]["flags"])
    return f"""{table(columns, rows)}

A core labels {per_core:.0f} hours of recordings in an hour (bundle `default`, recordings of one hour as FLAC at 16 kHz,
{processor}, {flags}), and reads {read_mb_s:.1f} MB per second meanwhile. The times with
more cores than were measured assume that the storage keeps up. The price is that of the core-hours: multiply them by
the price of a core for an hour."""


def spent(hours: float) -> str:
    """A time, in the unit that people would use."""
    if hours < 2:
        return f"{max(1, round(60 * hours))} min"
    return f"{hours:.0f} h" if hours < 100 else f"{hours / 24:,.0f} days"


def size(megabytes: float) -> str:
    """A size, in the unit that people would use."""
    for unit, per_unit in (("TB", 1e6), ("GB", 1e3)):
        if megabytes >= per_unit:
            return f"{megabytes / per_unit:.1f} {unit}"
    return f"{megabytes:.0f} MB"
