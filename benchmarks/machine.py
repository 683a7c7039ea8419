"""Context that every benchmark reports with its results: machine, versions, commit, and a fixed matrix product."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from metaser.diagnostics.device import read_device
from metaser.runtime.system.files import SHARED, replace_text

RESULTS = Path(__file__).parent / "results"
RESEARCH = Path(__file__).parent / "research" / "results"
"""Results of studies behind past decisions; each is valid for the commit that it names."""

PACKAGES = ("metaser", "numpy", "onnxruntime", "soundfile", "soxr", "torch", "transformers")


def machine() -> dict[str, Any]:
    """Processor with its relevant flags, cores, system, package versions and commit."""
    device = read_device()
    return {
        "processor": device.processor,
        "flags": list(device.flags),
        "cores": device.cores,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := installed(name))},
        "commit": commit(),
    }


def installed(package: str) -> str | None:
    """The version of a package, or None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str:
    """The commit the benchmark ran on, with `+` if the tree was changed."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!results", ":!research/results")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def best_median_s(work: Callable[[], object], runs: int, repetitions: int = 5) -> float:
    """Seconds: the best median over `repetitions` rounds of `runs` runs, after one warm-up run."""
    work()
    medians = []
    for _ in range(repetitions):
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        medians.append(statistics.median(times))
    return min(medians)


def matrix_product_s() -> float:
    """Seconds for a 1024 x 1024 x 1024 float32 matrix product; shows the speed and load of this machine now."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((1024, 1024)).astype(np.float32) for _ in range(2))
    return best_median_s(lambda: left @ right, runs=10)


def write_result(name: str, figures: dict[str, Any], folder: Path | None = None) -> None:
    """Write `NAME.json` into a folder, by default the product's results, and print the results."""
    folder = folder or RESULTS
    folder.mkdir(exist_ok=True)
    document = {"machine": machine(), **figures}
    replace_text(folder / f"{name}.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n", mode=SHARED)
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def read_result(name: str) -> dict[str, Any]:
    """Read `NAME.json` from the product's results or from research; empty if there is none."""
    for path in (RESULTS / f"{name}.json", RESEARCH / f"{name}.json"):
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
    return {}
