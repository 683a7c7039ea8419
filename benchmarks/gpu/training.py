"""The full recipe, `configs/xlsr-300m.toml`, for some hundred episodes on synthetic speech, resumed once."""

from __future__ import annotations

import csv
import json
import math
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.toolkit.config import load_config

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "configs" / "xlsr-300m.toml"
CORPORA = ("north", "south")
SPEAKERS = tuple(f"speaker {number}" for number in range(8))
VALIDATION_SPEAKERS = SPEAKERS[-2:]
PITCHES_HZ = {"anger": 320, "happiness": 250, "neutral": 180, "sadness": 130}
TAKES = 10
CLIP_S = 3.5
SETTLED = 5
"""Warm-up steps that are not timed: CUDA chooses its algorithms in them."""


def write_speech(folder: Path) -> Path:
    """Two corpora of noisy gliding tones, one pitch per emotion, below `folder`, and the table that lists them."""
    table = folder / "clips.csv"
    if table.exists():
        return table
    rng = np.random.default_rng(0)
    rows = []
    for corpus in CORPORA:
        for speaker in SPEAKERS:
            own = rng.uniform(0.8, 1.25)
            for label, pitch_hz in PITCHES_HZ.items():
                for take in range(TAKES):
                    path = folder / corpus / speaker.replace(" ", "-") / f"{label}-{take}.wav"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(path, tone(own * pitch_hz, rng), SAMPLE_RATE_HZ)
                    rows.append((path.relative_to(folder), label, speaker, corpus, corpus))
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label", "speaker", "language", "corpus"), *rows])
    return table


def tone(pitch_hz: float, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[T] a gliding tone with harmonics under noise, whose level differs from clip to clip."""
    time_s = np.arange(round(CLIP_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    glide = pitch_hz * (1 + 0.1 * rng.standard_normal() * np.sin(2 * np.pi * rng.uniform(0.3, 1.0) * time_s))
    phase = 2 * np.pi * np.cumsum(glide) / SAMPLE_RATE_HZ
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 6))
    return np.asarray(0.1 * voice + rng.uniform(0.01, 0.1) * rng.standard_normal(len(time_s)))


def settings(work: Path, backbone: Path, precision: str, device: str, episodes: int) -> dict[str, Any]:
    """The recipe's tables with synthetic clips, a backbone of random weights and a validation halfway."""
    tables = load_config(RECIPE).plain()
    tables |= {"out": str(work / f"run-{precision}"), "precision": precision, "device": device, "save_every": 100}
    tables["data"] |= {
        "corpora": [],
        "manifests": [str(write_speech(work / "speech"))],
        "cache": "memory",
        "validation_speakers": {corpus: list(VALIDATION_SPEAKERS) for corpus in CORPORA},
    }
    tables["model"] |= {"backbone": str(backbone)}
    tables["episodes"] |= {"count": episodes}
    tables["validation"] |= {"every": episodes // 2, "episodes": 50, "n_query": 3, "patience": 0}
    return without_none(tables)


def without_none(tables: dict[str, Any]) -> dict[str, Any]:
    """Tables in the form of TOML: None values are removed."""
    return {
        name: without_none(value) if isinstance(value, dict) else value
        for name, value in tables.items()
        if value is not None
    }


def train_and_resume(tables: dict[str, Any], work: Path, stop_after: int) -> dict[str, Any]:
    """Train, press Ctrl-C once `stop_after` steps are logged, resume to the end; the results of both parts."""
    out = Path(tables["out"])
    shutil.rmtree(out, ignore_errors=True)
    path = work / f"{out.name}.json"
    path.write_text(json.dumps(tables), encoding="utf-8")
    began = time.perf_counter()
    first = run_worker(path, out, stop_after)
    stopped_at = len(records(out, "step"))
    second = run_worker(path, out, None, "--resume")
    return {
        "stopped_after_steps": stopped_at,
        "stopped": first,
        "resumed": second,
        "whole_s": time.perf_counter() - began,
        **figures(out, tables["optimiser"]["gradient_accumulation"], stopped_at),
    }


def run_worker(path: Path, out: Path, stop_after: int | None, *words: str) -> dict[str, Any]:
    """Run the worker, with Ctrl-C after this many steps; return its result, or the end of its output."""
    command = [sys.executable, "-m", "benchmarks.gpu.training_worker", str(path), *words]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while stop_after is not None and child.poll() is None:
        if len(records(out, "step")) >= stop_after:
            child.send_signal(signal.SIGINT)
            break
        time.sleep(0.05)
    answer, said = child.communicate()
    if child.returncode:
        return {"exit_code": child.returncode, "said": said.splitlines()[-5:]}
    return json.loads(answer.splitlines()[-1])


def records(out: Path, event: str) -> list[dict[str, Any]]:
    """The complete lines of a run's log for one kind of event."""
    log = out / "log.jsonl"
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    return [record for record in map(json.loads, lines) if record["event"] == event]


def figures(out: Path, accumulation: int, stopped_at: int) -> dict[str, Any]:
    """Losses, accuracies and times of a run, from its log."""
    steps = records(out, "step")
    losses = [step["loss"] for step in steps]
    settled = [step["seconds"] for step in [*steps[SETTLED:stopped_at], *steps[stopped_at + SETTLED :]]]
    waits = [step["waited_s"] for step in steps if "waited_s" in step]
    memory = [step["peak_gpu_gib"] for step in steps if "peak_gpu_gib" in step]
    return {
        "steps": len(steps),
        "episodes": len(steps) * accumulation,
        "step_numbers_whole": [step["step"] for step in steps] == list(range(1, len(steps) + 1)),
        "losses_finite": all(isinstance(loss, float) and math.isfinite(loss) for loss in losses),
        "steps_without_a_finite_gradient": [
            step["step"] for step in steps if not isinstance(step["gradient_norm"], float)
            or not math.isfinite(step["gradient_norm"])
        ],
        "loss_first_and_last_tenth": [mean(losses[: tenth(losses)]), mean(losses[-tenth(losses) :])],
        "losses_around_the_stop": losses[max(stopped_at - 3, 0) : stopped_at + 3],
        "validation": [record["accuracy"] for record in records(out, "validation")],
        "seconds_an_episode": statistics.median(settled) / accumulation if settled else None,
        "seconds_an_episode_slowest": max(settled) / accumulation if settled else None,
        "first_step_s": steps[0]["seconds"] if steps else None,
        "waited_s_an_episode": statistics.fmean(waits) / accumulation if waits else None,
        "peak_gpu_gib": max(memory, default=None),
    }  # fmt: skip


def tenth(values: list[float]) -> int:
    """A tenth of a number, at least one."""
    return max(1, len(values) // 10)


def mean(values: list[float]) -> float | None:
    """The mean; None if empty."""
    return statistics.fmean(values) if values else None
