"""The search for a recipe that carries over to unseen languages: pack the clips, run the arms, write the report.

    python -m benchmarks.research.unseen pack CORPORA WORK
    python -m benchmarks.research.unseen run BACKBONE WORK [--device cuda] [--workers 4]
    python -m benchmarks.research.unseen report WORK

CORPORA holds the corpora of `material.CORPORA`, BACKBONE is a folder of Whisper base in the hub's layout. `pack` makes
two small files, so that `run` can take place on another machine. `run` continues an interrupted one. `report` writes
`results/unseen_search.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

from benchmarks.research.unseen.judge import judged, make_judges
from benchmarks.research.unseen.material import compute, pack, unpack
from benchmarks.research.unseen.recipe import Recipe, runs
from benchmarks.research.unseen.report import write_report
from benchmarks.research.unseen.run import Run
from metaser.runtime.system.files import open_to_append

ALPHAS = (0.5, 0.75, 1.0)
"""Points between the initial and the trained weights that are evaluated (WiSE-FT)."""
RESULTS = "runs.jsonl"
MATERIAL = "material.pt"


def search(backbone: Path, work: Path, device: torch.device, workers: int) -> None:
    """Run all arms that are not in WORK/runs.jsonl yet."""
    path = work / RESULTS
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set()
    if not (work / MATERIAL).exists():
        torch.save(
            compute(unpack(work), backbone, device, os.cpu_count() or 1).to(torch.device("cpu")), work / MATERIAL
        )
    context = mp.get_context("spawn")
    todo, found = context.Queue(), context.Queue()
    names = [name for name in runs() if name not in done]
    for name in names:
        todo.put(name)
    started = [context.Process(target=_work, args=(backbone, work, device, todo, found)) for _ in range(workers)]
    for process in started:
        process.start()
    with open_to_append(path) as file:
        for count in range(len(names)):
            result = found.get()
            file.write(f"{json.dumps(result)}\n".encode())
            file.flush()
            print(f"{count + 1} of {len(names)}: {result['name']}", flush=True)
    for process in started:
        process.join()


def _work(backbone: Path, work: Path, device: torch.device, todo: Any, found: Any) -> None:
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    material = torch.load(work / MATERIAL, weights_only=False, mmap=True).to(device)
    judges = make_judges(material.heard, device)
    recipes = runs()
    while True:
        try:
            name = todo.get(timeout=1)
        except queue.Empty:
            return
        recipe = recipes[name]
        found.put(
            {
                "name": name,
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
                "recipe": asdict(recipe),
                "accuracy": _evaluated(recipe, Run(recipe, material, backbone, device), judges),
            }
        )


def _evaluated(recipe: Recipe, run: Run, judges: Any) -> dict[str, dict[str, list[float]]]:
    """Train; accuracies of each episode by `step @ alpha` and judge."""
    steps = recipe.episodes // recipe.gradient_accumulation
    return {
        f"{step} @ {alpha}": {
            name: judges[name].accuracy(embeddings).tolist() for name in judged(recipe.corpora, list(judges))
        }
        for step, weights in run.train((steps // 2, steps)).items()
        for alpha in ALPHAS
        for embeddings in [run.embed(torch.lerp(run.start, weights, alpha))]
    }


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
    for part in (packing, running, parts.add_parser("report")):
        part.add_argument("work", type=Path)
    given = parser.parse_args()
    if given.part == "pack":
        pack(given.corpora, given.work)
    elif given.part == "run":
        search(given.backbone, given.work, given.device, given.workers)
    else:
        write_report(given.work / RESULTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
