"""Damaged files of every kind, and killed commands: no traceback, hang, crash or lost data is allowed.

    python -m benchmarks.robustness WORK [KIND ...] [--share S]
    python -m benchmarks.robustness WORK KIND --case SEED

Each case is a kind and a seed, runs in a process of its kind, and can be run again alone. WORK stores the files to
damage, so that a second run reuses them. The results of a kind replace those of its last run in
`results/robustness.json` and `.md`; kinds that are not named keep theirs. Takes about 40 minutes on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, commit, read_result, write_result
from benchmarks.robustness.cases import KINDS
from benchmarks.robustness.kills import run_kills
from benchmarks.robustness.material import make_all
from benchmarks.robustness.report import to_markdown
from benchmarks.robustness.watch import run_cases
from benchmarks.robustness.worker import run_case
from metaser.runtime.system.files import SHARED, replace_text

NAME = "robustness"
COUNTS = {
    "profile": 100_000, "bundle": 5_000, "graph": 5_000, "sound": 20_000, "checkpoint": 1_200, "settings": 1_000,
    "kill": 1_000,
}  # fmt: skip


def measure(kind: str, work: Path, count: int, processes: int) -> dict[str, Any]:
    """All cases of a kind."""
    figures = run_kills(work, count) if kind == "kill" else run_cases(kind, work, 0, count, processes)
    return {"commit": commit(), **figures}


def main() -> None:
    """Run, write, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, metavar="WORK", help="a folder for the files to damage, about 50 MB")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(COUNTS)}; default: all")
    parser.add_argument("--share", type=float, default=1.0, metavar="S", help="run this share of the cases")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="number of parallel processes for damaged files"
    )
    parser.add_argument("--case", type=int, metavar="SEED", help="run one case in this process and print its outcome")
    given = parser.parse_args()
    work = given.work.resolve()
    make_all(work, print)
    if given.case is not None:
        print(run_case(KINDS[given.kinds[0]](work), given.case))
        return
    for kind in given.kinds or COUNTS:
        found = measure(kind, work, max(1, round(given.share * COUNTS[kind])), given.processes)
        before = {name: value for name, value in read_result(NAME).items() if name != "machine"}
        kinds = {**before.get("kinds", {}), kind: found}
        write_result(NAME, {"command": "python -m benchmarks.robustness WORK", "kinds": kinds})
        replace_text(RESULTS / f"{NAME}.md", to_markdown(read_result(NAME)), mode=SHARED)


if __name__ == "__main__":
    main()
