"""The search for a recipe that carries over to unseen languages: pack the clips, run the arms, write the report.

    python -m benchmarks.research.unseen pack CORPORA WORK
    python -m benchmarks.research.unseen run BACKBONE WORK [--device cuda] [--workers 4] [--ladder]
    python -m benchmarks.research.unseen distil BACKBONE START WORK [--device cuda] [--workers 6]
    python -m benchmarks.research.unseen report WORK

CORPORA holds the corpora of `material.CORPORA`, BACKBONE is a folder of Whisper base in the hub's layout. `pack` makes
two small files, so that the others can take place on another machine. `run` continues an interrupted one. `distil`
trains the teachers of `default` and the network itself, WORK/student; START is the checkpoint of
configs/three-corpora.toml. `report` writes `results/unseen_search.json` and `.md`, and `results/distilled.json`, of
what WORK holds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.research.unseen.distil import OUTCOME, distil
from benchmarks.research.unseen.distil_report import write_distilled
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
    distilling = parts.add_parser("distil")
    for part in (running, distilling):
        part.add_argument("backbone", type=Path)
        part.add_argument("--device", type=torch.device, default="cpu")
        part.add_argument("--workers", type=int, default=1)
    running.add_argument("--ladder", action="store_true", help="More and more speakers and languages.")
    distilling.add_argument("start", type=Path)
    for part in (packing, running, distilling, parts.add_parser("report")):
        part.add_argument("work", type=Path)
    given = parser.parse_args()
    if given.part == "pack":
        pack(given.corpora, given.work)
    elif given.part == "run":
        search(given.backbone, given.work, given.device, given.workers, ladder() if given.ladder else runs())
    elif given.part == "distil":
        distil(given.backbone, given.start, given.work, given.device, given.workers)
    else:
        for name, write in ((RESULTS, write_report), (OUTCOME, write_distilled)):
            if (given.work / name).exists():
                write(given.work / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
