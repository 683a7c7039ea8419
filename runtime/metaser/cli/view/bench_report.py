"""The report of `metaser bench --report`: a folder with Markdown, JSON and plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.cli.view.bench_cells import joules_a_run, markdown_row, milliseconds
from metaser.runtime.words import counted, plain

if TYPE_CHECKING:
    from metaser.diagnostics.bench import Result
    from metaser.diagnostics.check import Check
    from metaser.diagnostics.device import Device
    from metaser.diagnostics.report import Report

DEVICE_COLUMNS = (
    "device", "power mode", "bundle", "on", "window", "p50", "p95", "real-time factor", "memory", "joules per run",
)  # fmt: skip
"""Of the table in docs/devices.md."""

USUAL_S = 3.0
"""The window that the summary compares."""

LATENCY, ENERGY, CONDITIONS = "latency.png", "energy.png", "conditions.png"


def write_report(folder: Path, report: Report) -> None:
    """Write `report.json`, `report.md` and, with matplotlib, the plots; each file is replaced atomically.

    Raises:
        InputError: something other than a regular file is in their place.
        WorkError: a file cannot be written.
    """
    from metaser.runtime.system.files import SHARED, replace_text

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
    replace_text(folder / "report.json", f"{text}\n", mode=SHARED)
    replace_text(folder / "report.md", markdown(report, _draw(folder, report)), mode=SHARED)


def _draw(folder: Path, report: Report) -> list[str]:
    """Draw what there is to draw; return the names of the files."""
    if find_spec("matplotlib") is None or not report.results:
        return []
    from metaser.cli.view.report_plots import draw_conditions, draw_energy, draw_latencies

    plots = {LATENCY: draw_latencies}
    if any(result.energy for result in report.results):
        plots[ENERGY] = draw_energy
    if any(each.hottest_c or each.cpu_mhz or each.gpu_mhz for each in report.snapshots):
        plots[CONDITIONS] = draw_conditions
    for name, draw in plots.items():
        draw(folder / name, report)
    return list(plots)


def markdown(report: Report, plots: Sequence[str]) -> str:
    """The report as text; `plots` are the names of the plots in its folder."""
    parts = [
        f"# metaser on {plain(report.device.model)}",
        "\n".join(verdict(report)),
        *_section("Machine", _table(("", ""), _machine(report))),
        *_section("Before the measurement", _checks(report.checks)),
        *_section("Latency", _latency(report), *_pictures(plots, LATENCY)),
        *_section("Energy", *_energy(report), *_pictures(plots, ENERGY)),
        *_section("During the measurement", *_during(report), *_pictures(plots, CONDITIONS)),
        *_section("Not measured", *_not_measured(report)),
        *_section("Rows for docs/devices.md", *_rows(report.results, report.device)),
    ]
    return "\n\n".join(parts) + "\n"


def verdict(report: Report) -> list[str]:
    """The result in a few lines: the fastest setting of each bundle."""
    if not report.results:
        return ["Nothing was measured; the reasons are below."]
    windows = sorted({result.case.window_s for result in report.results})
    usual = USUAL_S if USUAL_S in windows else windows[-1]
    fastest: dict[str, Result] = {}
    for result in sorted(report.results, key=lambda result: result.latency_ms["p50"]):
        if result.case.window_s == usual:
            fastest.setdefault(result.first.bundle, result)
    lines = [
        f"- {plain(name)}: {milliseconds(result.latency_ms['p50'])} ms for {usual:g} s of speech, "
        f"{1 / result.real_time_factor:.0f} times faster than real time ({_place(result, report.device)})"
        for name, result in fastest.items()
    ]
    distorted = counted(sum(check.fix is not None for check in report.checks), "condition")
    notice = [] if distorted.startswith("0 ") else ["", f"Not at its best: {distorted} with a command that changes it."]
    return ["The fastest setting of each bundle:", "", *lines, *notice]


def _place(result: Result, device: Device) -> str:
    threads = "" if result.case.threads is None else f", {counted(result.case.threads or device.cores, 'thread')}"
    return f"{result.first.precision}, {result.first.provider}{threads}"


def _section(title: str, *parts: str) -> list[str]:
    return [f"## {title}", *parts] if parts else []


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([plain(cell).replace("|", "/") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pictures(plots: Sequence[str], name: str) -> list[str]:
    return [f"![{name.removesuffix('.png')}]({name})"] if name in plots else []


def _machine(report: Report) -> list[tuple[str, str]]:
    from metaser.diagnostics.versions import versions

    device = report.device
    known = {
        "device": device.model,
        "processor": device.processor if device.processor != device.model else None,
        "Jetson Linux": device.jetson,
        "system": device.system,
        "cores": str(device.cores),
        "instructions": " ".join(device.flags),
        "power mode": device.power_mode,
        "governor": device.governor,
        "packages": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "measured": f"{report.began:%Y-%m-%d %H:%M} UTC, {counted(report.turns, 'turn')}",
    }
    return [(name, found) for name, found in known.items() if found]


def _checks(checks: Sequence[Check]) -> str:
    return _table(("", "found", "to change it"), [(check.name, check.found, check.fix or "") for check in checks])


def _latency(report: Report) -> str:
    rows = [
        (
            result.first.bundle,
            _place(result, report.device),
            f"{result.case.window_s:g} s",
            *(milliseconds(result.latency_ms[name]) for name in ("p50", "p90", "p99")),
            f"{result.real_time_factor:.4f}",
            f"{result.peak_mb:.0f}",
        )
        for result in report.results
    ]
    columns = ("bundle", "on", "window", "p50, ms", "p90, ms", "p99, ms", "real-time factor", "MB")
    return _table(columns, rows)


def _energy(report: Report) -> list[str]:
    known = [result for result in report.results if result.energy]
    if not known:
        reason = next((result.no_energy for result in report.results if result.no_energy), None)
        return [f"Not measured: {reason}"] if reason else []
    rows = [
        (result.first.bundle, _place(result, report.device), f"{result.case.window_s:g} s", joules_a_run(result),
         f"{result.energy.watts:.2f}", result.energy.source)
        for result in known if result.energy
    ]  # fmt: skip
    return [_table(("bundle", "on", "window", "J per run", "W", "meter"), rows)]


def _during(report: Report) -> list[str]:
    first, last = report.snapshots[0], report.snapshots[-1]
    hot = [each.hottest_c for each in report.snapshots if each.hottest_c is not None]
    lines = []
    if hot:
        lines.append(f"- temperature at the hottest place: {hot[0]:.0f} °C before, at most {max(hot):.0f} °C")
        throttled = sum(bool(each.throttled) for each in report.snapshots)
        parts = ", ".join(sorted({part for each in report.snapshots for part in each.throttled}))
        found = f"{parts}, in {throttled} of {len(report.snapshots)} readings" if parts else "never"
        lines.append(f"- slowed down because of heat: {found}")
    if first.over_current is not None and last.over_current is not None:
        lines.append(f"- over-current events: {last.over_current - first.over_current}")
    return ["\n".join(lines)] if lines else []


def _not_measured(report: Report) -> list[str]:
    windows: dict[tuple[str, str, str], list[str]] = {}
    for case, reason in report.not_measured:
        found = windows.setdefault((case.bundle or "default", case.provider, reason), [])
        if (window := f"{case.window_s:g} s") not in found:
            found.append(window)
    rows = [(bundle, provider, ", ".join(found), reason) for (bundle, provider, reason), found in windows.items()]
    return [_table(("bundle", "provider", "windows", "reason"), rows)] if rows else []


def _rows(results: Sequence[Result], device: Device) -> list[str]:
    if not results:
        return []
    head = _table(DEVICE_COLUMNS, [])
    return ["\n".join([head, *(markdown_row(result, device) for result in results)])]
