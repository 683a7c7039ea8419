"""The report of `metaser bench --report`: a folder with Markdown, JSON and plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.cli.view.bench_cells import USUAL_S, joules_a_run, markdown_row, milliseconds
from metaser.diagnostics.bench import bundle_labels
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

NOTHING_YET = "Nothing was measured yet."
RATHER_FAST = 0.1
"""A real-time factor; below it, digits behind the point do not matter."""

PLOTS = LATENCY, ENERGY, CONDITIONS = "latency.png", "energy.png", "conditions.png"


def make_folder(folder: Path) -> None:
    """Make the folder of a report, and remove the plots of an earlier one.

    Raises:
        InputError: something other than a folder is in the way.
        WorkError: it cannot be made.
    """
    from metaser.runtime.errors import InputError, WorkError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in PLOTS:
            (folder / name).unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{folder} is not a folder: choose another path for the report") from error
    except OSError as error:
        raise WorkError(f"{folder} cannot be made: {error.strerror}") from error


def write_report(folder: Path, report: Report) -> None:
    """Write `report.json` and `report.md`, which shows the plots that are there; each is replaced atomically.

    Raises:
        InputError: something other than a regular file is in their place.
        WorkError: a file cannot be written.
    """
    from metaser.runtime.system.files import SHARED, replace_text

    text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
    replace_text(folder / "report.json", f"{text}\n", mode=SHARED)
    plots = [name for name in PLOTS if (folder / name).is_file()]
    replace_text(folder / "report.md", markdown(report, plots), mode=SHARED)


def draw_report(folder: Path, report: Report) -> None:
    """Draw what there is to draw, if matplotlib is installed.

    Raises:
        InputError: something other than a regular file is in the place of a plot.
        WorkError: a plot cannot be written.
    """
    if find_spec("matplotlib") is None or not report.results:
        return
    from metaser.cli.view.report_plots import draw_conditions, draw_energy, draw_latencies

    draw_latencies(folder / LATENCY, report)
    if any(result.energy for result in report.results):
        draw_energy(folder / ENERGY, report)
    if any(each.hottest_c or each.cpu_mhz or each.gpu_mhz for each in report.snapshots):
        draw_conditions(folder / CONDITIONS, report)


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
        return ["Nothing was measured; “Not measured” has the reasons." if report.not_measured else NOTHING_YET]
    windows = sorted({result.case.window_s for result in report.results})
    usual = USUAL_S if USUAL_S in windows else windows[-1]
    labels = bundle_labels(report.results)
    fastest: dict[str, Result] = {}
    for result in sorted(report.results, key=lambda result: result.latency_ms["p50"]):
        if result.case.window_s == usual:
            fastest.setdefault(labels[result.case.bundle], result)
    lines = [
        f"- {plain(label)}: {milliseconds(result.latency_ms['p50'])} ms for {usual:g} s of speech, "
        f"{_compared_with_real_time(result.real_time_factor)} ({result.setting})"
        for label, result in fastest.items()
    ]
    improvable = sum(check.fix is not None for check in report.checks)
    notice = ["", f"{counted(improvable, 'condition')} can be improved: see “Before the measurement”."]
    return ["The fastest setting of each bundle:", "", *lines, *(notice if improvable else [])]


def _compared_with_real_time(factor: float) -> str:
    if factor > 1:
        return f"{factor:.1f} times as long as the speech itself"
    return f"{1 / factor:.{0 if factor < RATHER_FAST else 1}f} times faster than real time"


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
        "measured": f"{report.began:%Y-%m-%d %H:%M} UTC, {report.turns} of {counted(report.turns_planned, 'turn')}",
    }
    return [(name, found) for name, found in known.items() if found]


def _checks(checks: Sequence[Check]) -> str:
    return _table(("", "found", "to change it"), [(check.name, check.found, check.fix or "") for check in checks])


def _latency(report: Report) -> str:
    labels = bundle_labels(report.results)
    rows = [
        (
            labels[result.case.bundle],
            result.setting,
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
    labels = bundle_labels(report.results)
    known = [result for result in report.results if result.energy]
    if not known:
        reasons = [result.no_energy for result in report.results if result.no_energy]
        return [f"Not measured: {(reasons or ['it is measured in the last turn'])[0]}"]
    rows = [
        (labels[result.case.bundle], result.setting, f"{result.case.window_s:g} s", joules_a_run(result),
         f"{result.energy.watts:.2f}", result.energy.source)
        for result in known if result.energy
    ]  # fmt: skip
    return [_table(("bundle", "on", "window", "J per run", "W", "meter"), rows)]


def _during(report: Report) -> list[str]:
    first, last = report.snapshots[0], report.snapshots[-1]
    lines = []
    if hot := [each.hottest_c for each in report.snapshots if each.hottest_c is not None]:
        lines.append(f"- temperature at the hottest place: {hot[0]:.0f} °C before, at most {max(hot):.0f} °C")
    if shown := [each.throttled for each in report.snapshots if each.throttled is not None]:
        parts = ", ".join(sorted({part for each in shown for part in each}))
        found = f"{parts}, in {sum(map(bool, shown))} of {counted(len(shown), 'reading')}" if parts else "never"
        lines.append(f"- slowed down: {found}")
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
