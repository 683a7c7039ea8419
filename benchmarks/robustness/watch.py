"""Watch workers: detect cases that hang, crash the process, or use too much memory."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

HANG_S = 10.0
"""A case that takes longer hangs."""

START_S = 300.0
"""Time limit of a worker before its first case, while it opens shared files."""

MOST_BYTES = 1 << 30
"""Memory limit of a case, in addition to the earlier memory of its process."""

KEPT = 40
"""Number of findings per sort that are listed individually."""

ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
"""No network, and one core."""

SORTS = ("traceback", "hang", "crash", "memory", "system error", "stray warning")


def run_cases(kind: str, work: Path, first: int, last: int, processes: int = 1) -> dict[str, Any]:
    """Run cases in parallel processes, with a new one after each crash or hang; return the results of all."""
    began = time.perf_counter()
    outcomes: Counter[str] = Counter()
    findings: dict[str, list[dict[str, Any]]] = {sort: [] for sort in SORTS}
    counts: Counter[str] = Counter()
    slowest_s, most_bytes = 0.0, 0
    bounds = [first + (last - first) * number // processes for number in range(processes + 1)]
    with ThreadPoolExecutor(processes) as pool:
        parts = pool.map(lambda part: list(_watched(kind, work, *part)), pairwise(bounds))
    for case in chain.from_iterable(parts):
        outcomes[case["outcome"]] += 1
        slowest_s = max(slowest_s, case.get("seconds", 0.0))
        most_bytes = max(most_bytes, case.get("more_bytes", 0))
        for sort in found_in(case):
            counts[sort] += 1
            if len(findings[sort]) < KEPT:
                findings[sort].append(case)
    return {
        "cases": sum(outcomes.values()),
        "seconds": round(time.perf_counter() - began, 1),
        "outcomes": dict(outcomes),
        "findings": {sort: counts[sort] for sort in SORTS},
        "slowest_case_s": slowest_s,
        "most_memory_mb": round(most_bytes / 1e6, 1),
        "listed": {sort: cases for sort, cases in findings.items() if cases},
    }


def found_in(case: dict[str, Any]) -> list[str]:
    """The problem of a case's outcome, if any."""
    found = [case["outcome"]] if case["outcome"] in SORTS else []
    if case.get("seconds", 0.0) > HANG_S and "hang" not in found:
        found.append("hang")
    if case.get("more_bytes", 0) > MOST_BYTES:
        found.append("memory")
    if case.get("stray_warnings"):
        found.append("stray warning")
    return found


def _watched(kind: str, work: Path, first: int, last: int) -> Iterator[dict[str, Any]]:
    while first < last:
        words = [sys.executable, "-m", "benchmarks.robustness.worker", kind, str(work), str(first), str(last)]
        with (
            (work / f"{kind}.log").open("ab") as log,
            subprocess.Popen(words, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, stderr=log) as worker,
        ):
            try:
                for case in answers_of(worker):
                    first = case["seed"] + 1
                    yield case
            finally:
                worker.kill()


def answers_of(worker: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """The outcomes of a worker's cases; the last one is the crash or hang, if there was one."""
    assert worker.stdout is not None
    running: int | None = None
    lines = _lines(worker, START_S)
    for line in lines:
        if line is None:
            assert running is not None, "the worker did not start"
            yield {"seed": running, "outcome": "hang", "seconds": HANG_S}
            return
        answer = json.loads(line)
        running = answer.get("begins")
        if running is None:
            yield answer
    code = worker.wait()
    if running is not None:
        yield {"seed": running, "outcome": "crash", "message": _how(code)}
    elif code:
        raise RuntimeError(f"a worker ended with {code} between two cases")


def _lines(worker: subprocess.Popen[bytes], first_s: float) -> Iterator[bytes | None]:
    """Yield lines as they arrive; None on a timeout."""
    assert worker.stdout is not None
    patience_s, rest = first_s, b""
    while True:
        ready, _, _ = select.select([worker.stdout], [], [], patience_s)
        if not ready:
            yield None
            return
        content = worker.stdout.read1()  # type: ignore[attr-defined] # of a buffered reader
        if not content:
            return
        *whole, rest = (rest + content).split(b"\n")
        if whole:
            patience_s = 1.5 * HANG_S
        yield from whole


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
