"""Run jobs in processes of their own: times, throughput after the start, and memory of all their processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PROGRAM = """
import json, sys, time
from pathlib import Path
began = time.perf_counter()
from metaser.archive import Job, Options, Source, label_archive
recordings, out, profile, workers, engine = json.loads(sys.argv[1])
seen = []
def progress(state):
    if state.new > 0:
        seen.append((time.perf_counter(), state.new, state.audio_s))
        if len(seen) == 1:
            print(seen[0][0] - began, flush=True)
source, job, options = Source([Path(recordings)]), Job(profile, provider="cpu"), Options(workers, engine)
label_archive(source, out, job, options, progress=progress)
nothing = (began, 0, 0.0)  # all was labelled before
(first_s, first, first_audio_s), (last_s, last, audio_s) = (seen or [nothing])[0], (seen or [nothing])[-1]
print(json.dumps({
    "seconds": time.perf_counter() - began,
    "first_s": first_s - began,
    "units_per_s": (last - first) / max(1e-9, last_s - first_s),
    "real_time": (audio_s - first_audio_s) / max(1e-9, last_s - first_s),
}))
"""
SAMPLE_S = 0.2


@dataclass(frozen=True)
class Run:
    """A finished job."""

    seconds: float
    """From its start to its results."""

    first_s: float
    """From its start to its first label."""

    units_per_s: float
    """After the first label."""

    real_time: float
    """Seconds of audio per second, after the first label."""

    peak_mb: float
    """Largest memory of all its processes together, shared memory counted once."""


@dataclass(frozen=True)
class Spec:
    """A job to run."""

    recordings: Path
    out: Path
    profile: Path
    workers: int
    engine: str = "local"
    cores: str = ""
    """Numbers of the cores that it may use, as for taskset; all if empty."""

    def words(self) -> list[str]:
        """The command line."""
        given = [str(self.recordings), str(self.out), str(self.profile), self.workers, self.engine]
        kept = ["taskset", "--cpu-list", self.cores] if self.cores else []
        return [*kept, sys.executable, "-c", PROGRAM, json.dumps(given)]


def run_together(specs: Sequence[Spec]) -> list[Run]:
    """Run jobs at the same time; the memory is that of all of them."""
    processes = [subprocess.Popen(spec.words(), stdout=subprocess.PIPE, text=True) for spec in specs]
    peak_mb = 0.0
    done = threading.Event()

    def sample() -> None:
        nonlocal peak_mb
        while not done.wait(SAMPLE_S):
            peak_mb = max(peak_mb, sum(tree_mb(process.pid) for process in processes))

    watcher = threading.Thread(target=sample)
    watcher.start()
    printed = [process.communicate()[0] for process in processes]
    done.set()
    watcher.join()
    assert all(process.returncode == 0 for process in processes)
    return [Run(**json.loads(lines.splitlines()[-1]), peak_mb=peak_mb) for lines in printed]


def run(spec: Spec) -> Run:
    """Run a job."""
    return run_together([spec])[0]


def tree_mb(pid: int) -> float:
    """The memory of a process and its descendants, each shared page divided by its processes (PSS)."""
    children: list[int] = []
    size_mb = 0.0
    with suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        size_mb = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return size_mb + sum(map(tree_mb, children))


def figures(run_: Run) -> dict[str, float]:
    """The figures of a run, rounded."""
    return {name: round(value, 2) for name, value in asdict(run_).items()}
