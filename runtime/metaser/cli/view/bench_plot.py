"""The plot of `metaser bench`: a bar a case, its stages stacked, with the 90th and 99th percentile marked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaser.diagnostics.bench import Result

INCH_A_CASE = 0.5
DOTS_AN_INCH = 150


def draw_cases(path: Path, results: list[Result], title: str) -> None:
    """Write the PNG, whole or not at all; needs matplotlib.

    Raises:
        InputError: what is at `path` is no regular file.
        WorkError: it cannot be written.
    """
    from matplotlib.figure import Figure

    from metaser.diagnostics.bench import names
    from metaser.diagnostics.bench_case import STAGES
    from metaser.runtime.system.files import SHARED
    from metaser.runtime.system.plot_file import save_figure

    figure = Figure(figsize=(8, 1.5 + INCH_A_CASE * len(results)), layout="constrained")
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
    axes.set(xlabel="milliseconds a window, medians", title=title)
    axes.legend()
    save_figure(figure, path, dots_an_inch=DOTS_AN_INCH, mode=SHARED)
