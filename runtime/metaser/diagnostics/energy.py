"""Measure the energy of a piece of work with the power meter of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from metaser.diagnostics.energy_jetson import find_rails
from metaser.diagnostics.energy_pi import find_pmic
from metaser.diagnostics.energy_rapl import find_packages
from metaser.runtime.errors import MissingDependencyError, WorkError


class Meter(Protocol):
    """Measures energy between start and stop."""

    @property
    def name(self) -> str:
        """The meter and the rails or domains it covers."""

    def start(self) -> None:
        """Start measuring."""

    def stop_j(self) -> float:
        """Stop, and return the joules since the start."""


class PowerSampler:
    """A meter that samples power in a thread and integrates it by the trapezoidal rule."""

    def __init__(self, name: str, watts: Callable[[], float], interval_s: float) -> None:
        self.name = name
        self._watts = watts
        self._interval_s = interval_s
        self._over = threading.Event()
        self._samples: list[tuple[float, float]] = []
        self._thread: threading.Thread | None = None
        self._error: WorkError | None = None

    def start(self) -> None:
        """Start sampling."""
        self._over.clear()
        self._samples = [self._sample()]
        self._thread = threading.Thread(target=self._keep_sampling, daemon=True)
        self._thread.start()

    def stop_j(self) -> float:
        """Stop, and return the joules since the start.

        Raises:
            WorkError: a sample failed.
        """
        assert self._thread is not None
        self._over.set()
        self._thread.join()
        if self._error:
            raise self._error
        self._samples.append(self._sample())
        return integrate_j(self._samples)

    def _keep_sampling(self) -> None:
        try:
            while not self._over.wait(self._interval_s):
                self._samples.append(self._sample())
        except WorkError as error:
            self._error = error

    def _sample(self) -> tuple[float, float]:
        return time.monotonic(), self._watts()


def integrate_j(samples: list[tuple[float, float]]) -> float:
    """(seconds, watts) in order of time -> joules, by the trapezoidal rule."""
    return sum((end_s - start_s) * (start_w + end_w) / 2 for (start_s, start_w), (end_s, end_w) in pairwise(samples))


@dataclass(frozen=True)
class Energy:
    """The energy of a piece of work."""

    source: str
    joules: float
    seconds: float
    runs: int
    """How many times the work ran."""

    @property
    def joules_a_run(self) -> float:
        """Joules per run of everything that the source covers, including idle power."""
        return self.joules / self.runs

    @property
    def watts(self) -> float:
        """The mean power."""
        return self.joules / self.seconds


def find_meter(root: Path = Path("/")) -> Meter:
    """The meter of the machine whose file system begins at `root`: Jetson's rails, a Pi's power chip or RAPL.

    Raises:
        MissingDependencyError: the machine has no meter, or this user may not read it.
    """
    if rails := find_rails(root):
        return PowerSampler(rails.name, rails.watts, interval_s=0.05)
    if pmic := find_pmic(root):
        return PowerSampler(pmic.name, pmic.watts, interval_s=0.2)
    if packages := find_packages(root):
        return packages
    raise MissingDependencyError(
        "this machine has no meter that metaser supports: RAPL (/sys/class/powercap), the power rails of a Jetson, "
        "or the power chip of a Raspberry Pi 5"
    )


def measure(meter: Meter, work: Callable[[], object], seconds: float) -> Energy:
    """Repeat the work for at least `seconds`, and at least once."""
    runs = 0
    meter.start()
    began = time.monotonic()
    while not runs or time.monotonic() - began < seconds:
        work()
        runs += 1
    took_s = time.monotonic() - began
    return Energy(meter.name, meter.stop_j(), took_s, runs)
