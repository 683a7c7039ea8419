"""Time, memory and size of the main use case on this machine: `python -m benchmarks.cost.main_job [--install]`.

Times are the best median of five rounds, reported with the time of a fixed matrix product. `--install` also installs
`metaser[cpu]` into a fresh environment to measure its size, which needs a package index.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.cost.started_process import run_process
from benchmarks.machine import best_median_s, matrix_product_s, write_result
from metaser.runtime import Engine, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.bundles.bundle import default_bundle, shipped_folder

CLIP_S = 3.0
CLASSES, SHOTS = 4, 5
ROUNDS = 5


def write_support(folder: Path) -> None:
    """Four classes of five clips of exactly 3 s, cut from the demonstration clips."""
    for label in sorted((shipped_folder() / "demo" / "support").iterdir()):
        (folder / label.name).mkdir(parents=True)
        for clip in sorted(label.iterdir()):
            waveform = np.resize(load_audio(clip), int(CLIP_S * SAMPLE_RATE_HZ))
            soundfile.write(folder / label.name / clip.name, waveform, SAMPLE_RATE_HZ)


def library(support: Path) -> dict[str, float]:
    """Times of the library's calls with an open engine."""
    engine = Engine.open(provider="cpu")
    profile = engine.enroll(support)
    clip = load_audio(next(iter(sorted(support.glob("*/*")))))
    classify_s = best_median_s(lambda: engine.classify(clip, profile), runs=20)
    return {
        "open_engine_s": best_median_s(lambda: Engine.open(provider="cpu"), runs=3),
        "enroll_20_clips_s": best_median_s(lambda: engine.enroll(support), runs=3),
        "classify_3_s_clip_ms": 1000 * classify_s,
        "classify_real_time_factor": classify_s / CLIP_S,
    }


def process_s(words: list[str], env: dict[str, str], runs: int) -> float:
    """Seconds of a process, measured as in `best_median_s`."""
    run_process(words, env)
    medians = [statistics.median(run_process(words, env).seconds for _ in range(runs)) for _ in range(ROUNDS)]
    return min(medians)


def commands(support: Path, folder: Path) -> dict[str, float]:
    """Times of whole processes, as a user starts them."""
    metaser = str(Path(sys.executable).parent / "metaser")
    env = {"METASER_PROFILE": str(folder / "profile.safetensors")}
    enroll = [metaser, "enroll", str(support)]
    return {
        "help_s": process_s([metaser, "--help"], {}, runs=3),
        "import_runtime_s": process_s([sys.executable, "-c", "import metaser.runtime"], {}, runs=3),
        "enroll_command_s": process_s(enroll, env, runs=3),
        "enroll_command_peak_mb": max(run_process(enroll, env).peak_mb for _ in range(3)),
        "demo_command_s": process_s([metaser, "demo"], {}, runs=1),
    }


def install_size_mb(folder: Path) -> float:
    """Megabytes that `pip install .[cpu]` adds to a fresh environment."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    before = _size_mb(venv)
    source = Path(__file__).parents[2]
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", f"{source}[cpu]"], check=True)
    return _size_mb(venv) - before


def _size_mb(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main() -> None:
    """Measure, write the result."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_support(folder / "support")
        figures: dict[str, Any] = {
            "command": "python -m benchmarks.cost.main_job --install",
            "bundle": default_bundle(),
        }
        figures["matrix_product_1024_before_ms"] = 1000 * matrix_product_s()
        figures |= library(folder / "support")
        figures |= commands(folder / "support", folder)
        figures["matrix_product_1024_after_ms"] = 1000 * matrix_product_s()
        if "--install" in sys.argv:
            figures["install_size_mb"] = install_size_mb(folder)
    write_result(
        "main_job", {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
    )


if __name__ == "__main__":
    main()
