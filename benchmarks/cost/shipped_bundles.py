"""Size, latency and memory of every shipped bundle: `python -m benchmarks.cost.shipped_bundles`.

A clip of 3 s on two threads, in fresh processes in turn. Writes `results/shipped_bundles.json`, used by model cards.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.machine import machine, write_result
from metaser.diagnostics.bench import Result, run_cases
from metaser.diagnostics.bench_case import Case
from metaser.runtime.bundles.bundle import open_bundle, shipped_bundles

WINDOW_S, THREADS = 3.0, 2


def measure(runs: int = 50, warm_up: int = 5, repetitions: int = 3) -> dict[str, Any]:
    """Name -> results."""
    cases = [Case(name, "cpu", THREADS, WINDOW_S, runs, warm_up) for name in shipped_bundles()]
    return {result.first.bundle: figures(result) for result in run_cases(cases, repetitions)}


def figures(result: Result) -> dict[str, Any]:
    """Results of a bundle for its model card, with the machine."""
    found, where = result.as_json(), machine()
    kept = ("precision", "layers", "threads", "window_s", "latency_ms", "peak_mb", "warm_up", "runs", "repetitions")
    return {
        "size_mb": round(size_mb(result.first.bundle), 1),
        **{name: found[name] for name in kept},
        "machine": {name: where[name] for name in ("processor", "flags", "cores")},
    }


def size_mb(name: str) -> float:
    """Total size of all files of a shipped bundle."""
    return sum(path.stat().st_size for path in open_bundle(name).folder.iterdir()) / 1e6


def main() -> int:
    """Measure and write."""
    write_result("shipped_bundles", {"command": "python -m benchmarks.cost.shipped_bundles", "bundles": measure()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
