"""`metaser bench`: latency, memory and energy on this machine, per bundle, provider, thread count and window."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import tell_licence
from metaser.cli.options import JsonOption, Provider
from metaser.cli.paths import expanded, given_by_environment
from metaser.cli.view.bench_cells import USUAL_S, joules_a_run, markdown_row, milliseconds
from metaser.cli.view.console import print_error, print_json
from metaser.cli.view.plot_option import check_plot
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.terminal import console_for, new_table
from metaser.runtime.words import counted, plain

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.diagnostics.bench import Result
    from metaser.diagnostics.bench_case import Case
    from metaser.diagnostics.device import Device

ENERGY_S = 2.0
PERCENTILES = ("p50", "p90", "p99")


BundleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--bundle", metavar="NAME|DIR", help="The bundle to measure: a folder or a shipped name. May be repeated."
    ),
]
ProviderOption = Annotated[
    list[Provider] | None,
    typer.Option(
        "--provider",
        metavar="PROVIDER",
        help="The hardware back end: cpu, cuda, tensorrt, openvino or auto. May be repeated.",
    ),
]
ThreadsOption = Annotated[
    list[int] | None,
    typer.Option("--threads", metavar="N", help="Number of threads of the network. May be repeated."),
]
WindowOption = Annotated[
    list[float] | None,
    typer.Option(
        "--window",
        metavar="S",
        help="Seconds of audio to label; 3 by default, and 1, 3 and 10 with --report. May be repeated.",
    ),
]
RunsOption = Annotated[int, typer.Option("--runs", min=1, metavar="N", help="Timed runs per repetition.")]
WarmUpOption = Annotated[int, typer.Option("--warm-up", min=0, metavar="N", help="Untimed warm-up runs before them.")]
RepetitionsOption = Annotated[
    int, typer.Option("--repetitions", min=1, metavar="N", help="Measurements of each case, each in a new process.")
]
ShareOption = Annotated[
    bool, typer.Option("--share", help="Print one Markdown row per case, for the table in docs/devices.md.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="DIR",
        help="Measure all shipped bundles, providers and windows, and write a report with plots into a folder.",
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Draw a bar chart of the cases. Needs the extra `plots`."),
]


def bench(  # noqa: PLR0913 # one parameter per option
    *,
    bundle: BundleOption = None,
    provider: ProviderOption = None,
    threads: ThreadsOption = None,
    window: WindowOption = None,
    runs: RunsOption = 50,
    warm_up: WarmUpOption = 5,
    repetitions: RepetitionsOption = 3,
    share: ShareOption = False,
    report: ReportOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure latency, memory, load time and energy on this machine.

    One run labels one window of audio, from samples to label. Each combination of --bundle, --provider, --threads and
    --window is a case. The cases run in turn, each repetition in a new process, and all timed runs count. p90 is the
    latency that 90 % of the runs stay below. The real-time factor is seconds of computation per second of audio.
    Energy is that of the whole processor or board, if the machine can measure it.

    With --report, everything that can run here is measured, unless an option says otherwise: every shipped bundle on
    every provider, on the CPU with one thread and with one per core, for windows of 1, 3 and 10 s. Power mode, clocks,
    heat and other programs are checked first. A case that cannot run is in the report with the reason.
    """
    from metaser.diagnostics.bench_case import Case
    from metaser.diagnostics.device import read_device

    _check_output(share, report, plot, as_json)
    like = Case(None, Provider.auto.value, None, 0.0, runs, warm_up, ENERGY_S)
    names = [expanded(name) for name in bundle or ()]
    asked = Asked(names, [each.value for each in provider or ()], threads or [], window or [], like, repetitions)
    if report is not None:
        _report(report, asked)
        return
    results = _measured(asked, quiet=as_json or share)
    device = read_device()
    if plot:
        from metaser.cli.view.bench_plot import draw_cases

        draw_cases(plot, results, device.model)
    if as_json:
        from metaser.diagnostics.report import machine_as_json

        machine = machine_as_json(device)
        for result in results:
            print_json(**result.as_json(), machine=machine)
    elif share:
        _share(results, device)
    else:
        _show(results, device)
    if reason := results[0].no_energy:
        print_error(f"energy was not measured: {reason}")


def _check_output(share: bool, report: Path | None, plot: Path | None, as_json: bool) -> None:
    from metaser.runtime.errors import InputError

    if sum((share, as_json, report is not None)) > 1:
        raise InputError("--share, --json and --report exclude each other: choose one")
    if report is not None and plot is not None:
        raise InputError("--report draws its own plots: leave out --plot")
    check_plot(plot)


@dataclass(frozen=True)
class Asked:
    """What the options name; a list is empty if they name nothing."""

    bundles: list[str]
    providers: list[str]
    threads: list[int]
    windows_s: list[float]
    like: Case
    """A case with the other settings."""

    repetitions: int


def _measured(asked: Asked, *, quiet: bool) -> list[Result]:
    from metaser.diagnostics.bench import run_cases

    bundles: Sequence[str | None] = asked.bundles or [given_by_environment("METASER_BUNDLE")]
    _tell_licences(bundles)
    counts: Sequence[int | None] = asked.threads or [None]
    providers, windows_s = asked.providers or [asked.like.provider], asked.windows_s or [USUAL_S]
    cases = [
        replace(asked.like, bundle=name, provider=chosen, threads=count, window_s=window_s)
        for name, chosen, count, window_s in product(bundles, providers, counts, windows_s)
    ]
    with SlowProgress("Benchmarking", as_json=quiet) as progress:
        return run_cases(cases, asked.repetitions, progress)


def _report(folder: Path, asked: Asked) -> None:
    from metaser.cli.view.bench_report import draw_report, make_folder, verdict, write_report
    from metaser.diagnostics.conditions import check_conditions
    from metaser.diagnostics.device import read_device
    from metaser.diagnostics.report import WINDOWS_S, combined, measure_report, providers_here, threads_here
    from metaser.runtime.bundles.bundle import shipped_bundles
    from metaser.runtime.errors import MetaserError, WorkError

    make_folder(folder)
    chosen = given_by_environment("METASER_BUNDLE")
    bundles = asked.bundles or ([chosen] if chosen else shipped_bundles())
    for name in bundles:
        with suppress(MetaserError):  # the report has the reason
            _tell_licences([name])
    device, console = read_device(), console_for(as_json=True)
    checks = check_conditions()
    for check in checks:
        console.print_line(f"{check.name}: {check.found}" + (f"; to change it: {check.fix}" if check.fix else ""))
    cases = combined(
        bundles, asked.providers or providers_here(device), asked.threads or threads_here(device),
        asked.windows_s or WINDOWS_S, asked.like,
    )  # fmt: skip
    with SlowProgress("Benchmarking", as_json=False) as progress:
        for found in measure_report(cases, asked.repetitions, checks, progress):
            if found.turn_ended:
                draw_report(folder, found)
            write_report(folder, found)
    if not found.results:
        raise WorkError(f"nothing could be measured: {found.not_measured[0][1]} (all reasons are in {folder})")
    for line in verdict(found):
        console_for(as_json=False).print_line(line)
    console.print_line(f"wrote {folder / 'report.md'}; to share it: docs/devices.md")


def _tell_licences(bundles: Sequence[str | None]) -> None:
    from metaser.runtime.bundles.bundle import open_bundle

    for name in bundles:
        tell_licence(open_bundle(name).manifest)


def _show(results: list[Result], device: Device) -> None:
    console = console_for(as_json=False)
    console.print_line(_described(device))
    console.print_line()
    console.print(_latencies(results))
    console.print_line()
    console.print(_stages(results))
    first = results[0]
    console.print_line(
        f"Times in milliseconds. {len(first.measured)} x {counted(first.case.runs, 'run')} per case; warm-up runs "
        f"before each repetition: {first.case.warm_up}."
    )


def _described(device: Device) -> str:
    mode = device.power_mode or device.governor
    clock = f"{device.cpu_mhz[1]:.0f} MHz maximum" if device.cpu_mhz else None
    flags = " ".join(device.flags)
    name = device.model if device.model == device.processor else f"{device.model} ({device.processor})"
    facts = (name, f"{device.cores} cores", flags, device.jetson, mode, clock)
    return ", ".join(fact for fact in facts if fact)


def _latencies(results: list[Result]) -> Table:
    from metaser.diagnostics.bench import names

    joules = ["J per run"] if any(result.energy for result in results) else []
    table = new_table("case", *PERCENTILES, "real-time factor", "MB", *joules, title="Latency")
    for name, result in zip(names(results), results, strict=True):
        times = [milliseconds(result.latency_ms[percentile]) for percentile in PERCENTILES]
        cells = (*times, f"{result.real_time_factor:.4f}", f"{result.peak_mb:.0f}")
        table.add_row(plain(name), *cells, *([joules_a_run(result)] if joules else []))
    return _aligned(table)


def _stages(results: list[Result]) -> Table:
    from metaser.diagnostics.bench import names

    table = new_table("case", *results[0].stages_ms, title="Median time per stage")
    for name, result in zip(names(results), results, strict=True):
        table.add_row(plain(name), *(milliseconds(time_ms) for time_ms in result.stages_ms.values()))
    return _aligned(table)


def _aligned(table: Table) -> Table:
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _share(results: list[Result], device: Device) -> None:
    for result in results:
        typer.echo(markdown_row(result, device))
    console_for(as_json=True).print_line(
        "To report: open an issue titled `bench: YOUR DEVICE` with the rows, the folder of `metaser bench --report`, "
        "and how the device was powered and cooled."
    )
