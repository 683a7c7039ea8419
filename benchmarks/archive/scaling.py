"""Two workers on two cores compared with one worker on one core: `python -m benchmarks.archive.scaling CORPORA`.

A single worker that may use both cores decodes on the second one while its model works on the first, so it is kept on
one core here. Writes `results/archive_scaling.json`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.archive.material import make_clips, make_long, make_profile
from benchmarks.archive.runs import Run, Spec, figures, run
from benchmarks.machine import matrix_product_s, write_result

REPETITIONS = 3
HOURS = 2


def compare(recordings: Path, profile: Path, work: Path) -> dict[str, Any]:
    """One worker on one core and two workers on two, in turn."""
    specs = {
        "one core": Spec(recordings, work / "out", profile, 1, cores="0"),
        "two cores": Spec(recordings, work / "out", profile, 2),
    }
    runs: dict[str, list[Run]] = {name: [] for name in specs}
    for _ in range(REPETITIONS):
        for name, spec in specs.items():
            runs[name].append(run(spec))
            shutil.rmtree(spec.out)
    median_s = {name: statistics.median(each.seconds for each in found) for name, found in runs.items()}
    return {
        "median_s": {name: round(seconds, 2) for name, seconds in median_s.items()},
        "speed_up": round(median_s["one core"] / median_s["two cores"], 3),
        "runs": {name: [figures(each) for each in found] for name, found in runs.items()},
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive.scaling", description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path)
    given = parser.parse_args()
    product_ms = [1000 * matrix_product_s()]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        profile = make_profile(given.corpora, work)
        document = {
            "command": "python -m benchmarks.archive.scaling CORPORA",
            "clips": compare(make_clips(given.corpora, work), profile, work),
            "long": {"hours": HOURS, **compare(make_long(given.corpora, work, HOURS), profile, work)},
        }
    product_ms.append(1000 * matrix_product_s())
    write_result("archive_scaling", document | {"matrix_product_ms": [round(each, 2) for each in product_ms]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
