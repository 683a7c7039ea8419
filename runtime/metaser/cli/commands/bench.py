"""`metaser bench`: latency, memory and energy on this machine, per bundle, provider, thread count and window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaser.cli.open_engine import tell_licence
from metaser.cli.options import JsonOption, Provider
from metaser.cli.paths import expanded, given_by_environment
from metaser.cli.view.console import print_error, print_json
from metaser.cli.view.plot_option import check_plot
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.terminal import console_for, new_table
from metaser.runtime.words import counted, plain

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.diagnostics.bench import Result
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
    typer.Option("--window", metavar="S", help="Seconds of audio to label; 3 by default. May be repeated."),
]
RunsOption = Annotated[int, typer.Option("--runs", min=1, metavar="N", help="Timed runs per repetition.")]
WarmUpOption = Annotated[int, typer.Option("--warm-up", min=0, metavar="N", help="Untimed warm-up runs before them.")]
RepetitionsOption = Annotated[
    int, typer.Option("--repetitions", min=1, metavar="N", help="Measurements of each case, each in a new process.")
]
ShareOption = Annotated[
    bool, typer.Option("--share", help="Print one Markdown row per case, for the table in docs/devices.md.")
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
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure latency, memory, load time and energy on this machine.

    One run labels one window of audio, from samples to label. Each combination of --bundle, --provider, --threads and
    --window is a case. The cases run in turn, each repetition in a new process, and all timed runs count. p90 is the
    latency that 90 % of the runs stay below. The real-time factor is seconds of computation per second of audio.
    Energy is that of the whole processor or board, if the machine can measure it.
    """
    from metaser.diagnostics.bench import run_cases
    from metaser.diagnostics.bench_case import Case
    from metaser.diagnostics.device import read_device
    from metaser.runtime.bundles.bundle import open_bundle
    from metaser.runtime.errors import InputError

    if share and as_json:
        raise InputError("--share and --json exclude each other: choose one")
    check_plot(plot)
    bundles: Sequence[str | None] = [expanded(name) for name in bundle or ()] or [
        given_by_environment("METASER_BUNDLE")
    ]
    for name in bundles:
        tell_licence(open_bundle(name).manifest)
    counts: Sequence[int | None] = threads or [None]
    cases = [
        Case(name, chosen.value, count, window_s, runs, warm_up, ENERGY_S)
        for name, chosen, count, window_s in product(bundles, provider or [Provider.auto], counts, window or [3.0])
    ]
    with SlowProgress("Benchmarking", as_json=as_json or share) as progress:
        results = run_cases(cases, repetitions, progress)
    device = read_device()
    if plot:
        from metaser.cli.view.bench_plot import draw_cases

        draw_cases(plot, results, device.model)
    if as_json:
        machine = _machine(device)
        for result in results:
            print_json(**result.as_json(), machine=machine)
    elif share:
        _share(results, device)
    else:
        _show(results, device)
    if reason := results[0].no_energy:
        print_error(f"energy was not measured: {reason}")


def _machine(device: Device) -> dict[str, Any]:
    """The device and the versions of the installed packages."""
    from metaser.diagnostics.versions import versions

    return {**asdict(device), "versions": versions()}


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


def milliseconds(time_ms: float) -> str:
    """Format with three digits, or all digits before the point: 0.012, 1.23, 12.3, 123, 1234."""
    digits = 3 if time_ms < 1 else 3 - len(str(int(time_ms)))
    return f"{time_ms:.{max(0, digits)}f}"


def joules_a_run(result: Result) -> str:
    """Joules per run, or a dash."""
    return f"{result.energy.joules_a_run:.3g}" if result.energy else "-"


def _share(results: list[Result], device: Device) -> None:
    for result in results:
        typer.echo(markdown_row(result, device))
    console_for(as_json=True).print_line(
        "To report: open an issue titled `bench: YOUR DEVICE` with the rows, the output of `metaser bench --json` and "
        "how the device was powered and cooled."
    )


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
