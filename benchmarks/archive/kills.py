"""Kill jobs at random moments: `python -m benchmarks.archive.kills CORPORA [--kills 300]`.

A job is killed again and again until it is finished: the whole job, only the process that leads it, or one of its
workers. Its results must be those of a job that was never killed, byte for byte. Writes `results/archive_kills.json`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks.archive.material import make_clips, make_profile
from benchmarks.archive.runs import Spec
from benchmarks.machine import write_result

CLIPS = 400
LONGEST_S = 4.0
RESULTS = ("labels.csv", "labels.jsonl", "speakers.json")


def kill(process: subprocess.Popen[bytes], rng: random.Random) -> str:
    """Kill a running job in one of three ways."""
    way = rng.choice(["whole job", "leader", "worker"])
    with suppress(ProcessLookupError, OSError, IndexError):
        if way == "whole job":
            os.killpg(process.pid, signal.SIGKILL)
        elif way == "leader":
            process.kill()
        else:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(rng.choice(children)), signal.SIGKILL)
    return way


def run_once(spec: Spec, rng: random.Random, ways: Counter[str]) -> bool:
    """Start a job and kill it, or one worker after the other; return whether it failed though only workers died."""
    said = spec.out.with_suffix(".txt")
    only_workers = True
    with (
        said.open("w") as output,
        subprocess.Popen(spec.words(), start_new_session=True, stdout=output, stderr=output) as process,
    ):
        while only_workers:
            try:
                process.wait(rng.uniform(0.0, LONGEST_S))
                break
            except subprocess.TimeoutExpired:
                way = kill(process, rng)
                ways[way] += 1
                only_workers = way == "worker"
    failed = only_workers and process.returncode != 0
    if failed:
        print(said.read_text(), file=sys.stderr)
    return failed


def is_equal(out: Path, expected: Path) -> bool:
    """Whether results are the same bytes, and nothing half-written is left."""
    same = all((out / name).read_bytes() == (expected / name).read_bytes() for name in RESULTS)
    return same and not list(out.rglob("*.tmp"))


def main() -> int:
    """Kill jobs, compare their results, and write the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive.kills", description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--kills", type=int, default=300)
    given = parser.parse_args()
    rng = random.Random(0)
    ways: Counter[str] = Counter()
    jobs = different = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        profile = make_profile(given.corpora, work)
        clips = make_clips(given.corpora, work, CLIPS)
        subprocess.run(Spec(clips, work / "expected", profile, 2).words(), check=True, stdout=subprocess.DEVNULL)
        while ways.total() < given.kills:
            jobs += 1
            while not (work / "out" / RESULTS[-1]).exists():
                failed += run_once(Spec(clips, work / "out", profile, 2), rng, ways)
            different += not is_equal(work / "out", work / "expected")
            shutil.rmtree(work / "out")
            print(f"{jobs} jobs, {ways.total()} kills, {different} with other results, {failed} failed", flush=True)
    document = {
        "command": f"python -m benchmarks.archive.kills CORPORA --kills {given.kills}",
        "clips": CLIPS,
        "kills": dict(ways),
        "jobs": jobs,
        "jobs_with_other_results": different,
        "runs_that_failed_after_workers_were_killed": failed,
    }
    write_result("archive_kills", document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
