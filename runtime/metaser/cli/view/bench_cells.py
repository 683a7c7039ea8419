"""The cells of `metaser bench`, and its row for the table of docs/devices.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaser.runtime.words import counted, plain

if TYPE_CHECKING:
    from metaser.diagnostics.bench import Result
    from metaser.diagnostics.device import Device


USUAL_S = 3.0
"""The window that is measured if none is named."""


def milliseconds(time_ms: float) -> str:
    """Format with three digits, or all digits before the point: 0.012, 1.23, 12.3, 123, 1234."""
    digits = 3 if time_ms < 1 else 3 - len(str(int(time_ms)))
    return f"{time_ms:.{max(0, digits)}f}"


def joules_a_run(result: Result) -> str:
    """Joules per run, or a dash."""
    return f"{result.energy.joules_a_run:.3g}" if result.energy else "-"


def markdown_row(result: Result, device: Device) -> str:
    """One row of the table in docs/devices.md."""
    model = device.model + (f", L4T {device.jetson}" if device.jetson else "")
    latency = result.latency_ms
    cells = (
        model,
        device.power_mode or device.governor or "-",
        f"{result.first.bundle} {result.first.precision}, {counted(result.first.layers, 'layer')}",
        f"{result.first.provider}, {counted(result.case.threads or device.cores, 'thread')}",
        f"{result.case.window_s:g} s",
        f"{milliseconds(latency['p50'])} ms",
        f"{milliseconds(latency['p95'])} ms",
        f"{result.real_time_factor:.4f}",
        f"{result.peak_mb:.0f} MB",
        f"{joules_a_run(result)} ({result.energy.source})" if result.energy else "-",
    )
    return f"| {' | '.join(plain(cell).replace('|', '/') for cell in cells)} |"
