"""XLS-R's encoder on a GPU: bundles on the CUDA provider compared with PyTorch, eager and compiled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cost.latency_peer import Peer, Timed, paired_ratio, start, time_in_turn

OURS = ("metaser fp16", "metaser fp32")
SHARES = (50, 90, 99)


def gpu_peers(model: Path, bundles: dict[str, Path], work: Path) -> list[Peer]:
    """All timed peers."""
    compiler = {"TORCHINDUCTOR_CACHE_DIR": str(work / "inductor-cuda")}
    return [
        *(Peer(f"metaser {precision}", "metaser-cuda", folder) for precision, folder in bundles.items()),
        Peer("PyTorch eager fp32", "eager-cuda-fp32", model),
        Peer("PyTorch eager fp16", "eager-cuda-fp16", model),
        Peer("PyTorch compiled fp16", "compiled-cuda-fp16", model, env=compiler),
    ]


def measure_latency(peers: list[Peer], windows_s: list[float], runs: int, threads: int) -> Iterator[dict[str, Any]]:
    """Measure all windows in the same processes, in turn, from short to long; yields the results so far after each."""
    cases: list[dict[str, Any]] = []
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            started = list(pool.map(lambda peer: start([peer], threads, stack), peers))
        running = {name: own for found, _ in started for name, own in found.items()}
        failures = {name: reason for _, failed in started for name, reason in failed.items()}
        for seconds in windows_s:
            timed, failed = time_in_turn(running, seconds, runs)
            failures |= {f"{name}, {seconds:g} s": reason for name, reason in failed.items()}
            cases.append({"seconds": seconds, "runs": runs, "peers": compared(timed)})
            yield {"cases": cases, "failures": failures}


def compared(timed: dict[str, Timed]) -> dict[str, Any]:
    """The first run, percentiles of the others, and the speed-up of metaser's bundles."""
    return {
        name: {
            "first_ms": own.first_ms,
            **percentiles(own.times_ms),
            "ratios": {ours: paired_ratio(own.times_ms, timed[ours].times_ms) for ours in OURS if ours in timed},
        }
        for name, own in timed.items()
    }


def percentiles(times_ms: list[float]) -> dict[str, float]:
    """Percentiles of all runs except the first."""
    return {f"p{share}_ms": float(np.percentile(times_ms, share)) for share in SHARES}
