"""A job on Ray compared with the same job without it: `python -m benchmarks.archive.fleet CORPORA`.

Both use two processes of one machine, in turn; the throughput is that after the first labels, so that the start of Ray
does not count. Run it in an environment with the extra `ray`. Writes `results/archive_fleet.json`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.archive.material import make_clips, make_profile
from benchmarks.archive.runs import Run, Spec, figures, run
from benchmarks.machine import installed, matrix_product_s, write_result

WORKERS = 2
REPETITIONS = 3


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive.fleet", description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path)
    given = parser.parse_args()
    product_ms = [1000 * matrix_product_s()]
    runs: dict[str, list[Run]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        profile = make_profile(given.corpora, work)
        clips = make_clips(given.corpora, work)
        for _ in range(REPETITIONS):
            for engine, found in runs.items():
                found.append(run(Spec(clips, work / "out", profile, WORKERS, engine)))
                shutil.rmtree(work / "out")
    product_ms.append(1000 * matrix_product_s())
    rates = {engine: statistics.median(each.units_per_s for each in found) for engine, found in runs.items()}
    document = {
        "command": "python -m benchmarks.archive.fleet CORPORA",
        "ray": installed("ray"),
        "clips_per_s": {engine: round(rate, 1) for engine, rate in rates.items()},
        "of_local": round(rates["ray"] / rates["local"], 3),
        "start_s": round(statistics.median(each.first_s for each in runs["ray"]), 1),
        "peak_mb": {engine: round(max(each.peak_mb for each in found)) for engine, found in runs.items()},
        "matrix_product_ms": [round(each, 2) for each in product_ms],
        "runs": {engine: [figures(each) for each in found] for engine, found in runs.items()},
    }
    write_result("archive_fleet", document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
