"""From many teachers to `default`: train them in several processes on one device, join them, distil one network.

WORK/teachers/NAME.pt        the embeddings of a teacher, kept from run to run
WORK/student/                the checkpoint of the student
WORK/distilled.json          the accuracy of each episode, by model and judge
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor

from benchmarks.research.unseen import student
from benchmarks.research.unseen.judge import make_judges
from benchmarks.research.unseen.material import CROPS, Frames, Material, compute, compute_clean, unpack
from benchmarks.research.unseen.recipe import LANGUAGES, Recipe
from benchmarks.research.unseen.recipe import without as recipe_without
from benchmarks.research.unseen.run import Run
from benchmarks.research.unseen.teachers import REFERENCE, START, Teacher, equal, for_default, teachers, without
from metaser.runtime.system.files import SHARED, replace_text
from metaser.toolkit.model.checkpoint import CheckpointMetadata, load_checkpoint, save_checkpoint

AUGMENTED = 4
ALPHA = 0.75
"""Point between the initial and the trained weights of a teacher (WiSE-FT)."""
OUTCOME = "distilled.json"
LICENCE = "CC-BY-NC-SA-4.0"


@dataclass(frozen=True, eq=False)
class Heard:
    """What teachers and students hear, in a file for the processes."""

    material: Material
    crops: Frames
    whole: Frames

    def to(self, device: torch.device) -> Heard:
        """The same on a device."""
        return Heard(self.material.to(device), self.crops.to(device), self.whole.to(device))

    def of(self, teacher: Teacher) -> Material:
        """The material of a teacher."""
        return replace(self.material, variants=self.crops, count=CROPS) if teacher.is_clean else self.material


@dataclass(frozen=True)
class Plan:
    """A student, and the weights of its teachers."""

    name: str
    """What is different from the shipped one, as the end of a name."""
    recipe: Recipe
    weights: Mapping[str, float]
    from_start: bool = True
    """Whether its encoder starts from the network START."""
    measures_joined: bool = True
    """Whether the joined teachers are measured as well; an earlier student may have the same."""


def distil(backbone: Path, start: Path, work: Path, device: torch.device, workers: int) -> None:
    """Train the teachers and the student, and for each language those that never heard it; measure all."""
    path = work / "heard.pt"
    if not path.exists():
        clips = unpack(work)
        material = compute(clips, backbone, device, os.cpu_count() or 1, AUGMENTED)
        torch.save(Heard(material, *compute_clean(clips, backbone, device)).to(torch.device("cpu")), path)
    references = {f"reference without {name}": _reference(name) for name in LANGUAGES}
    _train(teachers() | references, path, backbone, work, workers, device)
    heard: Heard = torch.load(path, weights_only=False, mmap=True).to(device)
    judges = make_judges(heard.material.heard, device)
    outcome: dict[str, dict[str, list[float]]] = {}

    def measured(name: str, rows: Tensor) -> None:
        outcome[name] = {judge: one.accuracy(rows).tolist() for judge, one in judges.items()}
        replace_text(work / OUTCOME, json.dumps(outcome), mode=SHARED)

    first = load_checkpoint(start)[0].to(device)
    torch.save(student.embeddings_of(first, heard.material).cpu(), _place(work, START))
    measured(START, _read(work, START, device))
    for name in references:
        measured(name, _read(work, name, device))
    for plan in plans():
        own = [clip.corpus in plan.recipe.corpora for clip in heard.material.heard]
        given = [(share, _read(work, teacher, device)) for teacher, share in plan.weights.items()]
        rows, wanted = student.joined(given, own, plan.recipe.embedding_size)
        if plan.measures_joined:
            measured(f"joined{plan.name}", rows)
        lesson = student.Lesson(heard.material, heard.whole, wanted)
        network = student.distilled(plan.recipe, lesson, backbone, start if plan.from_start else None, device)
        measured(f"student{plan.name}", student.embeddings_of(network, heard.material))
        if not plan.name:
            save_checkpoint(work / "student", network.cpu(), _metadata(heard.material, start), torch.float16)


def plans() -> list[Plan]:
    """The student that is shipped, what was tried instead, and students that never heard a language."""
    every = {START: 4.0, **equal(teachers())}
    short = replace(student.RECIPE, episodes=600)
    found = [
        Plan("", student.RECIPE, for_default(teachers())),
        Plan(", 600 steps", short, for_default(teachers()), measures_joined=False),
        Plan(", equal weights", student.RECIPE, every),
        Plan(", equal weights, 600 steps, four layers", replace(short, layers=4), every, measures_joined=False),
    ]
    for language, gone in LANGUAGES.items():
        recipe = recipe_without(replace(student.RECIPE, episodes=student.WITHOUT), gone)
        found.append(Plan(f" without {language}", recipe, equal(without(language)), from_start=False))
    return found


def _reference(language: str) -> Teacher:
    """The former recipe without a language."""
    return Teacher(recipe_without(REFERENCE, LANGUAGES[language]), is_clean=False)


def _metadata(material: Material, start: Path) -> CheckpointMetadata:
    return CheckpointMetadata(
        source=load_checkpoint(start)[1].source,
        licence=LICENCE,
        corpora=tuple(sorted({clip.corpus for clip in material.training})),
        languages=tuple(sorted({clip.language for clip in material.training})),
    )


def _place(work: Path, name: str) -> Path:
    return work / "teachers" / f"{name}.pt"


def _read(work: Path, name: str, device: torch.device) -> Tensor:
    rows: Tensor = torch.load(_place(work, name))
    return rows.to(device)


def _train(  # noqa: PLR0913, PLR0917 # what the processes need
    plans: Mapping[str, Teacher], heard: Path, backbone: Path, work: Path, workers: int, device: torch.device
) -> None:
    """Train the teachers that have no embeddings yet; the longest first."""
    (work / "teachers").mkdir(exist_ok=True)
    left = [(name, one) for name, one in plans.items() if not _place(work, name).exists()]
    left.sort(key=lambda named: -named[1].recipe.episodes)
    with mp.get_context("spawn").Pool(workers, _open, (heard, backbone, work, device)) as pool:
        for count, name in enumerate(pool.imap_unordered(_teach, left)):
            print(f"{count + 1} of {len(left)}: {name}", flush=True)


_opened: dict[str, Any] = {}
"""What a process has read."""


def _open(heard: Path, backbone: Path, work: Path, device: torch.device) -> None:
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    read = torch.load(heard, weights_only=False, mmap=True).to(device)
    _opened.update(heard=read, backbone=backbone, work=work, device=device)


def _teach(named: tuple[str, Teacher]) -> str:
    name, teacher = named
    run = Run(teacher.recipe, _opened["heard"].of(teacher), _opened["backbone"], _opened["device"])
    trained = run.train((teacher.recipe.episodes,))[teacher.recipe.episodes]
    rows = torch.nn.functional.normalize(run.embed(torch.lerp(run.start, trained, ALPHA)), dim=1)
    torch.save(rows.cpu(), _place(_opened["work"], name))
    if _opened["device"].type == "cuda":
        torch.cuda.empty_cache()
    return name
