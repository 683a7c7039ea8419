"""The plots of `metaser bench --report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metaser.runtime.system.files import SHARED
from metaser.runtime.system.plot_file import drawn, new_figure, save_figure
from metaser.runtime.words import counted

if TYPE_CHECKING:
    from metaser.diagnostics.bench import Result
    from metaser.diagnostics.report import Report

STYLES = ("-", "--", ":", "-.")
WIDTH_INCH, HEIGHT_INCH, INCHES_PER_CASE = 9.0, 4.5, 0.3


def place_name(result: Result) -> str:
    """How a case ran: precision, provider and threads."""
    threads = f", {counted(result.case.threads, 'thread')}" if result.case.threads else ""
    return f"{result.first.precision}, {result.first.provider}{threads}"


def draw_latencies(path: Path, report: Report) -> None:
    """Median latency over the window: a colour per bundle, a style per precision, provider and threads."""
    figure, axes = new_figure(WIDTH_INCH, HEIGHT_INCH)
    lines: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for result in report.results:
        times = result.latency_ms
        lines.setdefault((result.first.bundle, place_name(result)), []).append(
            (result.case.window_s, times["p50"], times["p99"])
        )
    bundles = sorted({result.first.bundle for result in report.results})
    places = sorted({place_name(result) for result in report.results})
    for (bundle, place), points in lines.items():
        places_s, median, slow = zip(*sorted(points), strict=True)
        colour, style = f"C{bundles.index(bundle)}", STYLES[places.index(place) % len(STYLES)]
        axes.plot(places_s, median, marker="o", color=colour, linestyle=style, label=drawn(f"{bundle} {place}"))
        axes.fill_between(places_s, median, slow, color=colour, alpha=0.15, linewidth=0)
    windows_s = sorted({result.case.window_s for result in report.results})
    axes.plot(windows_s, [1e3 * window for window in windows_s], color="gray", linestyle=":", label="real time")
    axes.set(
        xscale="log", yscale="log", xlabel="window, s", ylabel="latency, ms: median, and up to p99",
        title=drawn(report.device.model),
    )  # fmt: skip
    axes.set_xticks(windows_s, [f"{window:g}" for window in windows_s], minor=False)
    axes.xaxis.minorticks_off()
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    save_figure(figure, path, mode=SHARED)


def draw_energy(path: Path, report: Report) -> None:
    """Energy per run of every case whose energy was measured."""
    known = [(result, result.energy) for result in report.results if result.energy]
    figure, axes = new_figure(WIDTH_INCH, 1.5 + INCHES_PER_CASE * len(known))
    places = range(len(known))
    axes.barh(places, [energy.joules_a_run for _, energy in known])
    axes.set_yticks(
        places,
        [drawn(f"{result.first.bundle} {place_name(result)}, {result.case.window_s:g} s") for result, _ in known],
    )
    axes.invert_yaxis()
    axes.set(xlabel=f"joules per run, by {known[0][1].source}", title=drawn(report.device.model))
    save_figure(figure, path, mode=SHARED)


def draw_conditions(path: Path, report: Report) -> None:
    """Temperature and clock over the measurement: they show if the machine was slowed down by heat."""
    figure, axes = new_figure(WIDTH_INCH, HEIGHT_INCH)
    start_s = report.snapshots[0].at_s
    minutes = [(each.at_s - start_s) / 60 for each in report.snapshots]
    hottest = [each.hottest_c if each.hottest_c is not None else float("nan") for each in report.snapshots]
    axes.plot(minutes, hottest, color="tab:red", label="hottest place")
    axes.set(xlabel="minutes", ylabel="temperature, °C", title=drawn(report.device.model))
    clocks = axes.twinx()
    for name, values, colour in (
        ("CPU", [each.cpu_mhz for each in report.snapshots], "tab:blue"),
        ("GPU", [each.gpu_mhz for each in report.snapshots], "tab:green"),
    ):
        if any(value is not None for value in values):
            clocks.plot(minutes, [value or float("nan") for value in values], color=colour, label=name)
    clocks.set_ylabel("clock, MHz")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path, mode=SHARED)
