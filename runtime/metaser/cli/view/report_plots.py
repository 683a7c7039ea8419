"""The plots of `metaser bench --report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metaser.diagnostics.bench import bundle_labels
from metaser.runtime.system.files import SHARED
from metaser.runtime.system.plot_file import drawn, new_figure, save_figure

if TYPE_CHECKING:
    from metaser.diagnostics.report import Report

MARKERS = "osD^vPX*"
WIDTH_INCH, HEIGHT_INCH, INCHES_PER_CASE = 9.0, 4.5, 0.3


def draw_latencies(path: Path, report: Report) -> None:
    """Median latency over the window: a colour per bundle, a marker per provider and number of threads."""
    figure, axes = new_figure(WIDTH_INCH, HEIGHT_INCH)
    labels = bundle_labels(report.results)
    lines: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for result in report.results:
        points = lines.setdefault((labels[result.case.bundle], result.setting), [])
        points.append((result.case.window_s, result.latency_ms["p50"], result.latency_ms["p99"]))
    bundles, settings = (list(dict.fromkeys(line[index] for line in lines)) for index in (0, 1))
    for (bundle, how), points in lines.items():
        windows_s, median, slow = zip(*sorted(points), strict=True)
        colour, marker = f"C{bundles.index(bundle)}", MARKERS[settings.index(how) % len(MARKERS)]
        axes.plot(windows_s, median, marker=marker, color=colour, label=drawn(f"{bundle}, {how}"))
        axes.fill_between(windows_s, median, slow, color=colour, alpha=0.15, linewidth=0)
    ticks_s = sorted({result.case.window_s for result in report.results})
    axes.plot(ticks_s, [1e3 * window_s for window_s in ticks_s], color="gray", linestyle=":", label="real time")
    axes.set(
        xscale="log", yscale="log", xlabel="window, s", ylabel="latency, ms: median, and up to p99",
        title=drawn(report.device.model),
    )  # fmt: skip
    axes.set_xticks(ticks_s, [f"{window_s:g}" for window_s in ticks_s], minor=False)
    axes.xaxis.minorticks_off()
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    save_figure(figure, path, mode=SHARED)


def draw_energy(path: Path, report: Report) -> None:
    """Energy per run of every case whose energy was measured."""
    labels = bundle_labels(report.results)
    known = [(result, result.energy) for result in report.results if result.energy]
    names = [f"{labels[result.case.bundle]}, {result.setting}, {result.case.window_s:g} s" for result, _ in known]
    figure, axes = new_figure(WIDTH_INCH, 1.5 + INCHES_PER_CASE * len(known))
    axes.barh(range(len(known)), [energy.joules_a_run for _, energy in known])
    axes.set_yticks(range(len(known)), [drawn(name) for name in names])
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
