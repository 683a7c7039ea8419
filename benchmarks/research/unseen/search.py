"""Runs of a search in several processes on one device; what is done already is not done again."""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

from benchmarks.research.unseen.judge import judged, make_judges
from benchmarks.research.unseen.material import compute, unpack
from benchmarks.research.unseen.recipe import Recipe
from benchmarks.research.unseen.run import Run
from metaser.runtime.system.files import open_to_append

ALPHAS = (0.5, 0.75, 1.0)
"""Points between the initial and the trained weights that are evaluated (WiSE-FT)."""
WHOLE_EPISODES = 1000
"""Shorter runs are evaluated at their end only, at the second of these points."""

RESULTS = "runs.jsonl"
MATERIAL = "material.pt"


def search(backbone: Path, work: Path, device: torch.device, workers: int, recipes: Mapping[str, Recipe]) -> None:
    """Run all recipes that are not in WORK/runs.jsonl yet."""
    path = work / RESULTS
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set()
    if not (work / MATERIAL).exists():
        torch.save(
            compute(unpack(work), backbone, device, os.cpu_count() or 1).to(torch.device("cpu")), work / MATERIAL
        )
    context = mp.get_context("spawn")
    todo, found = context.Queue(), context.Queue()
    names = [name for name in recipes if name not in done]
    for name in names:
        todo.put(name)
    started = [
        context.Process(target=_work, args=(backbone, work, device, recipes, todo, found)) for _ in range(workers)
    ]
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


def _work(  # noqa: PLR0913, PLR0917 # what a process needs
    backbone: Path, work: Path, device: torch.device, recipes: Mapping[str, Recipe], todo: Any, found: Any
) -> None:
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    material = torch.load(work / MATERIAL, weights_only=False, mmap=True).to(device)
    judges = make_judges(material.heard, device)
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
    whole = recipe.episodes >= WHOLE_EPISODES
    return {
        f"{step} @ {alpha}": {
            name: judges[name].accuracy(embeddings).tolist() for name in judged(recipe.corpora, list(judges))
        }
        for step, weights in run.train((steps // 2, steps) if whole else (steps,)).items()
        for alpha in (ALPHAS if whole else ALPHAS[1:2])
        for embeddings in [run.embed(torch.lerp(run.start, weights, alpha))]
    }
