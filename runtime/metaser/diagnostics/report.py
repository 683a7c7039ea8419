"""Measure every combination of bundles, providers, threads and windows that this machine can run, for a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from itertools import groupby, product
from pathlib import Path
from typing import Any

from metaser.diagnostics.bench import Progress, Result, measure_in_turns
from metaser.diagnostics.bench_case import Case, Measured
from metaser.diagnostics.check import Check
from metaser.diagnostics.device import Device, read_device
from metaser.diagnostics.snapshot import Snapshot, Watcher
from metaser.diagnostics.versions import versions
from metaser.runtime.errors import MetaserError
from metaser.runtime.providers.session import GPU_PROVIDERS, PROVIDERS, import_onnxruntime

WINDOWS_S = (1.0, 3.0, 10.0)
WATCH_S = 2.0
"""Between two readings of heat and clocks; each takes a few milliseconds."""


@dataclass(frozen=True)
class Report:
    """What was measured so far, and on what."""

    device: Device
    checks: tuple[Check, ...]
    """Conditions before the measurement."""

    results: tuple[Result, ...]
    not_measured: tuple[tuple[Case, str], ...]
    """Cases with the reason."""

    snapshots: tuple[Snapshot, ...]
    """Before the measurement, and every `WATCH_S` during it."""

    turns: int
    """How often every case was measured; `Case.runs` runs each."""

    turns_planned: int
    began: datetime

    turn_ended: bool = False
    """Whether no case of a turn is left."""

    def as_json(self) -> dict[str, Any]:
        """The whole report."""
        return {
            "began": self.began.isoformat(timespec="seconds"),
            "machine": machine_as_json(self.device),
            "checks": [{**asdict(check), "state": check.state.value} for check in self.checks],
            "turns": self.turns,
            "turns_planned": self.turns_planned,
            "results": [result.as_json() for result in self.results],
            "not_measured": [
                {"bundle": case.bundle, "provider": case.provider, "threads": case.threads, "window_s": case.window_s,
                 "reason": reason}
                for case, reason in self.not_measured
            ],
            "snapshots": [
                {**asdict(each), "at_s": round(each.at_s - self.snapshots[0].at_s, 2)} for each in self.snapshots
            ],
        }  # fmt: skip


def machine_as_json(device: Device) -> dict[str, Any]:
    """The device and the versions of the installed packages."""
    return {**asdict(device), "versions": versions()}


def providers_here(device: Device) -> list[str]:
    """The CPU and the providers of this ONNX Runtime; on a Jetson CUDA and TensorRT even if they are missing."""
    available = import_onnxruntime().get_available_providers()
    wanted = [name for name, theirs in PROVIDERS.items() if theirs in available]
    return [*wanted, *(name for name in GPU_PROVIDERS if device.jetson and name not in wanted)]


def threads_here(device: Device) -> list[int]:
    """One thread, and one per core."""
    return sorted({1, device.cores})


def combined(
    bundles: Sequence[str],
    providers: Sequence[str],
    threads: Sequence[int],
    windows_s: Sequence[float],
    like: Case,
) -> list[Case]:
    """All cases, with the other settings of `like`; the number of threads matters on the CPU only."""
    return [
        replace(like, bundle=bundle, provider=provider, threads=count, window_s=window_s)
        for bundle, provider in product(bundles, providers)
        for count, window_s in product([None] if provider in GPU_PROVIDERS else threads, windows_s)
    ]


def measure_report(
    cases: Sequence[Case],
    repetitions: int,
    checks: Sequence[Check],
    progress: Progress | None = None,
    root: Path = Path("/"),
) -> Iterator[Report]:
    """Measure cases in turns; yields the report so far, first before the measurement and then after each process.

    A case that cannot run is in the report with its reason. Heat and clocks are read while a process works, because
    after it has ended the clocks are low again.
    """
    began, device = datetime.now(timezone.utc), read_device(root)
    measured: list[list[Measured]] = [[] for _ in cases]
    failed: dict[int, str] = {}

    def report(turns: int, *, turn_ended: bool = False) -> Report:
        results = [Result(case, tuple(found)) for case, found in zip(cases, measured, strict=True) if found]
        reasons = [(cases[index], reason) for index, reason in sorted(failed.items())]
        snapshots = tuple(watcher.snapshots)
        return Report(
            device, tuple(checks), tuple(results), tuple(reasons), snapshots, turns, repetitions, began, turn_ended
        )

    with Watcher(root, WATCH_S) as watcher:
        yield report(0)
        for turn, outcomes in groupby(measure_in_turns(cases, repetitions), key=lambda outcome: outcome.turn):
            for outcome in outcomes:
                if isinstance(outcome.found, MetaserError):
                    failed[outcome.index] = str(outcome.found)
                else:
                    measured[outcome.index].append(outcome.found)
                if progress:
                    progress(turn * len(cases) + outcome.index + 1, repetitions * len(cases))
                yield report(turn)
            yield report(turn + 1, turn_ended=True)
