"""The plot of `metaser bench`: one bar of stacked stages per case, with markers at p90 and p99."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaser.diagnostics.bench import Result

INCHES_PER_CASE = 0.5
DOTS_PER_INCH = 150


def draw_cases(path: Path, results: list[Result], title: str) -> None:
    """Write the PNG atomically; needs matplotlib.

    Raises:
        InputError: something other than a regular file is at `path`.
        WorkError: it cannot be written.
    """
    from matplotlib.figure import Figure

    from metaser.diagnostics.bench import names
    from metaser.diagnostics.bench_case import STAGES
    from metaser.runtime.system.files import SHARED
    from metaser.runtime.system.plot_file import save_figure

    figure = Figure(figsize=(8, 1.5 + INCHES_PER_CASE * len(results)), layout="constrained")
    axes = figure.subplots()
    places = list(range(len(results)))
    left = [0.0] * len(results)
    for stage in STAGES:
        times_ms = [result.stages_ms[stage] for result in results]
        axes.barh(places, times_ms, left=left, label=stage)
        left = [start + time_ms for start, time_ms in zip(left, times_ms, strict=True)]
    for name, marker in (("p90", "|"), ("p99", "x")):
        axes.scatter([result.latency_ms[name] for result in results], places, marker=marker, color="black", label=name)
    axes.set_yticks(places, names(results))
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds per window (median)", title=title)
    axes.legend()
    save_figure(figure, path, dots_an_inch=DOTS_PER_INCH, mode=SHARED)
