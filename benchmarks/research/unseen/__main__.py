"""The search for a recipe that carries over to unseen languages: pack the clips, run the arms, write the report.

    python -m benchmarks.research.unseen pack CORPORA WORK
    python -m benchmarks.research.unseen run BACKBONE WORK [--device cuda] [--workers 4] [--ladder]
    python -m benchmarks.research.unseen report WORK

CORPORA holds the corpora of `material.CORPORA`, BACKBONE is a folder of Whisper base in the hub's layout. `pack` makes
two small files, so that `run` can take place on another machine. `run` continues an interrupted one. `report` writes
`results/unseen_search.json` and `.md`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.research.unseen.material import pack
from benchmarks.research.unseen.recipe import ladder, runs
from benchmarks.research.unseen.report import write_report
from benchmarks.research.unseen.search import RESULTS, search


def main() -> int:
    """Pack, run or report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.research.unseen", description=__doc__.split("\n")[0])
    parts = parser.add_subparsers(dest="part", required=True)
    packing = parts.add_parser("pack")
    packing.add_argument("corpora", type=Path)
    running = parts.add_parser("run")
    running.add_argument("backbone", type=Path)
    running.add_argument("--device", type=torch.device, default="cpu")
    running.add_argument("--workers", type=int, default=1)
    running.add_argument("--ladder", action="store_true", help="More and more speakers and languages.")
    for part in (packing, running, parts.add_parser("report")):
        part.add_argument("work", type=Path)
    given = parser.parse_args()
    if given.part == "pack":
        pack(given.corpora, given.work)
    elif given.part == "run":
        search(given.backbone, given.work, given.device, given.workers, ladder() if given.ladder else runs())
    else:
        write_report(given.work / RESULTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
