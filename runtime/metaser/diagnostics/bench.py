"""Benchmark cases in turn, each time in a new process, so that noise affects all cases alike; report medians."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from metaser.diagnostics.bench_case import STAGES, Case, Measured
from metaser.diagnostics.energy import Energy
from metaser.runtime.errors import InputError, MetaserError, MissingDependencyError, WorkError
from metaser.runtime.words import counted

Progress: TypeAlias = Callable[[int, int], None]
ERRORS: dict[int, type[MetaserError]] = {2: InputError, 3: MissingDependencyError}
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Result:
    """Results of one case over all repetitions; a run labels one window, from samples to label."""

    case: Case
    measured: tuple[Measured, ...]
    """The measurements of each repetition's process."""

    @property
    def first(self) -> Measured:
        """The first repetition, for values that are equal in all of them."""
        return self.measured[0]

    @property
    def name(self) -> str:
        """A short name of the case."""
        return f"{self.first.bundle} {self.first.precision}, {self.setting}, {self.case.window_s:g} s"

    @property
    def setting(self) -> str:
        """How the case ran: provider and threads."""
        threads = f", {counted(self.case.threads, 'thread')}" if self.case.threads else ""
        return f"{self.first.provider}{threads}"

    @property
    def latency_ms(self) -> dict[str, float]:
        """Percentiles over the runs of all repetitions: p50, p90, p95 and p99."""
        totals = [sum(run) for one in self.measured for run in zip(*one.stages_ms.values(), strict=True)]
        return {f"p{share}": float(np.percentile(totals, share)) for share in PERCENTILES}

    @property
    def real_time_factor(self) -> float:
        """Seconds of computation per second of audio, from the median."""
        return self.latency_ms["p50"] / 1e3 / self.case.window_s

    @property
    def stages_ms(self) -> dict[str, float]:
        """Medians: import and load over the repetitions, the others over all their runs."""
        return {
            "import": statistics.median(one.import_ms for one in self.measured),
            "load": statistics.median(one.load_ms for one in self.measured),
            **{
                stage: statistics.median(time_ms for one in self.measured for time_ms in one.stages_ms[stage])
                for stage in STAGES
            },
        }

    @property
    def peak_mb(self) -> float:
        """Peak memory: the maximum over the repetitions."""
        return max(one.peak_mb for one in self.measured)

    @property
    def energy(self) -> Energy | None:
        """The energy, from the repetition that measured it."""
        return next((one.energy for one in self.measured if one.energy), None)

    @property
    def no_energy(self) -> str | None:
        """Why no energy was measured."""
        return next((one.no_energy for one in self.measured if one.no_energy), None)

    def as_json(self) -> dict[str, Any]:
        """The results and their settings."""
        energy = self.energy
        return {
            "bundle": self.first.bundle,
            "precision": self.first.precision,
            "layers": self.first.layers,
            "provider": self.first.provider,
            "threads": self.case.threads,
            "window_s": self.case.window_s,
            "latency_ms": {name: round(value, 4) for name, value in self.latency_ms.items()},
            "real_time_factor": round(self.real_time_factor, 6),
            "stages_ms": {name: round(value, 4) for name, value in self.stages_ms.items()},
            "peak_mb": round(self.peak_mb, 1),
            "energy": energy and {**asdict(energy), "joules_a_run": energy.joules_a_run, "watts": energy.watts},
            "no_energy": self.no_energy,
            "warm_up": self.case.warm_up,
            "runs": self.case.runs,
            "repetitions": len(self.measured),
        }


def bundle_labels(results: Sequence[Result]) -> dict[str | None, str]:
    """Bundle as given -> its name and precision; if two have the same, with the bundle as given."""
    found = {result.case.bundle: f"{result.first.bundle} {result.first.precision}" for result in results}
    labels = list(found.values())
    return {
        bundle: f"{label} ({bundle or 'default'})" if labels.count(label) > 1 else label
        for bundle, label in found.items()
    }


def names(results: Sequence[Result]) -> list[str]:
    """The cases' names; if two are equal, with the bundles as given on the command line."""
    plain = [result.name for result in results]
    if len(set(plain)) == len(plain):
        return plain
    return [f"{result.case.bundle or 'default'}: {result.name}" for result in results]


def run_cases(cases: Sequence[Case], repetitions: int, progress: Progress | None = None) -> list[Result]:
    """Measure every case in turn, `repetitions` times over: A B C, A B C, A B C. Energy is measured in the last turn.

    Raises:
        MetaserError: a case cannot be run; it is the error from its process.
    """
    measured: list[list[Measured]] = [[] for _ in cases]
    for number, one in enumerate(measure_in_turns(cases, repetitions)):
        if isinstance(one.found, MetaserError):
            raise one.found
        measured[one.index].append(one.found)
        if progress:
            progress(number + 1, repetitions * len(cases))
    return [Result(case, tuple(found)) for case, found in zip(cases, measured, strict=True)]


@dataclass(frozen=True)
class Outcome:
    """What one process of a case found."""

    turn: int
    index: int
    """Place of the case."""

    found: Measured | MetaserError


def measure_in_turns(cases: Sequence[Case], repetitions: int) -> Iterator[Outcome]:
    """Measure every case in turn; one that failed is left out of later turns. Energy is measured in the last turn.

    Raises:
        InputError: there is nothing to measure.
    """
    if repetitions < 1 or not cases:
        raise InputError(f"{repetitions} repetitions of {len(cases)} cases: give 1 or more")
    failed: set[int] = set()
    for turn in range(repetitions):
        for index, case in enumerate(cases):
            if index in failed:
                continue
            try:
                found = _in_a_process(case if turn == repetitions - 1 else replace(case, energy_s=0.0))
            except MetaserError as error:
                failed.add(index)
                yield Outcome(turn, index, error)
            else:
                yield Outcome(turn, index, found)


def _in_a_process(case: Case) -> Measured:
    done = subprocess.run(
        [sys.executable, "-m", "metaser.diagnostics.bench_case"],
        input=json.dumps(asdict(case)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # import nothing from the user's working folder
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        reason = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        raise WorkError(f"the process of a benchmark case died ({reason}): check that there is enough free memory")
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise ERRORS.get(answer["exit_code"], WorkError)(answer["error"])
    energy = answer["energy"]
    return Measured(**{**answer, "energy": Energy(**energy) if energy else None})
