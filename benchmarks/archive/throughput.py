"""Throughput and memory of `metaser label`: `python -m benchmarks.archive.throughput CORPORA [--hours 10]`.

Two workers compared with one worker and with two independent jobs on half of the recordings each, on clips and on long
recordings; the memory of a job apart from its engines; and the time and memory until the first label of a manifest of
a million rows. Writes `results/archive.json`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.archive.material import make_clips, make_long, make_profile
from benchmarks.archive.runs import Run, Spec, figures, run, run_together, tree_mb
from benchmarks.machine import matrix_product_s, write_result

ROWS = 1_000_000
ENGINE = """
import sys
from pathlib import Path
from metaser.archive.work.job import Job
from metaser.archive.work.labeller import Labeller
from metaser.archive.source.unit import WHOLE
labeller = Labeller.open(Job(sys.argv[1], provider="cpu"))
groups = [(str(path), [WHOLE]) for path in sorted(Path(sys.argv[2]).iterdir())[:200]]
for _ in labeller.steps(groups):
    pass
print("ready", flush=True)
sys.stdin.read()
"""
"""A process that has labelled some clips: an engine with the libraries and buffers that it needs anyway."""


def halves(folder: Path) -> list[Path]:
    """Two folders with half of the files each, as links."""
    made = []
    files = sorted(folder.iterdir())
    for half in range(2):
        part = folder.with_name(f"{folder.name}-{half}")
        part.mkdir()
        for path in files[half::2]:
            (part / path.name).hardlink_to(path)
        made.append(part)
    return made


def size_mb(folder: Path) -> float:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def compare(recordings: Path, profile: Path, work: Path, repetitions: int) -> dict[str, Any]:
    """One worker, two workers and two independent jobs, in turn; medians of the times, and their ratios."""
    parts = halves(recordings)

    def independent() -> Run:
        runs = run_together([Spec(part, work / f"out{place}", profile, 1) for place, part in enumerate(parts)])
        return max(runs, key=lambda each: each.seconds)

    ways: dict[str, Callable[[], Run]] = {
        "one worker": lambda: run(Spec(recordings, work / "out0", profile, 1)),
        "two workers": lambda: run(Spec(recordings, work / "out0", profile, 2)),
        "two jobs": independent,
    }
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    results_mb = 0.0
    for _ in range(repetitions):
        for name, measure in ways.items():
            runs[name].append(measure())
            results_mb = max(results_mb, size_mb(work / "out0"))
            for place in range(2):
                shutil.rmtree(work / f"out{place}", ignore_errors=True)
    median_s = {name: statistics.median(each.seconds for each in found) for name, found in runs.items()}
    return {
        "median_s": {name: round(seconds, 2) for name, seconds in median_s.items()},
        "speed_up": round(median_s["one worker"] / median_s["two workers"], 3),
        "of_two_jobs": round(median_s["two jobs"] / median_s["two workers"], 3),
        "real_time": round(statistics.median(each.real_time for each in runs["two workers"]), 1),
        "recordings_mb": round(size_mb(recordings), 1),
        "results_mb": round(results_mb, 2),
        "units_per_s": round(statistics.median(each.units_per_s for each in runs["two workers"]), 1),
        "runs": {name: [figures(each) for each in found] for name, found in runs.items()},
    }


def engine_mb(profile: Path, clips: Path) -> float:
    """The memory of two engines at once, each in a process that has labelled clips."""
    words = [sys.executable, "-c", ENGINE, str(profile), str(clips)]
    processes = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    size_mb = sum(tree_mb(process.pid) for process in processes)
    for process in processes:
        process.communicate(b"")
    return size_mb


def million_rows(profile: Path, clips: Path, work: Path) -> dict[str, float]:
    """Seconds and memory from the start of a job on a million rows to its first label; then it is killed."""
    manifest = work / "rows.csv"
    real = [str(path) for path in sorted(clips.iterdir())]
    with manifest.open("w") as file:
        file.write("path,speaker,session,text\n")
        file.writelines(f"{path},Ann,1,the first rows are real clips\n" for path in real)
        for row in range(len(real), ROWS):
            file.write(f"session_{row // 1000:04}/recording_{row:07}.wav,S{row % 50},{row % 7},words of row {row}\n")
    began = time.perf_counter()
    with subprocess.Popen(Spec(manifest, work / "rows", profile, 2).words(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - began
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peak_mb = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
        process.kill()
    return {"rows": ROWS, "seconds": round(seconds, 1), "peak_mb": round(peak_mb)}


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive.throughput", description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--hours", type=int, default=10)
    given = parser.parse_args()
    product_ms = [1000 * matrix_product_s()]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        profile = make_profile(given.corpora, work)
        clips = make_clips(given.corpora, work)
        engines_mb = engine_mb(profile, clips)
        document: dict[str, Any] = {
            "command": f"python -m benchmarks.archive.throughput CORPORA --hours {given.hours}",
            "engines_mb": round(engines_mb, 1),
            "manifest": million_rows(profile, clips, work),
            "clips": compare(clips, profile, work, 3),
            "long": {"hours": given.hours, **compare(make_long(given.corpora, work, given.hours), profile, work, 1)},
        }
    for name in ("clips", "long"):
        peak_mb = max(each["peak_mb"] for each in document[name]["runs"]["two workers"])
        document[name]["apart_from_engines_mb"] = round(peak_mb - engines_mb, 1)
    product_ms.append(1000 * matrix_product_s())
    write_result("archive", document | {"matrix_product_ms": [round(each, 2) for each in product_ms]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
