"""Latency of XLS-R 300M at full size compared with alternatives: `python -m benchmarks.cost.latency WORK`.

WORK is a folder for models and the peers' environments, about 8 GB; existing files are reused. `--prepare` only fills
it; that needs a package index once and half an hour, because torch.compile takes a minute or two per case. The weights
are random, which does not change the times. The shipped bundles are measured as well.

Each peer runs in its own process. Runs alternate, so that load on the machine affects all equally, and a fixed matrix
product is timed before every case. The peers: PyTorch eager and compiled; `optimum-cli export onnx` in ONNX Runtime
(in its own environment, because Optimum pins an older transformers), also quantised by `quantize_dynamic`; its graph in
OpenVINO, also in int8 by NNCF; and a portable bundle on OpenVINO's provider of ONNX Runtime. The whole grid takes about
12 minutes on two quiet cores: a peer processes 12 s of audio per case after one warm-up run, but makes at least two
runs, so the windows of 7 and 10 s have only two; `--heard 50` gives them more. Writes
`results/latency.json`, `.md` and `.png`, also for a part of the grid: the command in them names the part.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.cost.latency_models import COMPILED, LAYERS, compile_ahead, encoder_mb, make_peers
from benchmarks.cost.latency_peer import Peer, Running, Timed, paired_ratio, start, time_in_turn
from benchmarks.cost.latency_report import FP32, INT8, draw, to_markdown
from benchmarks.cost.roofline import roofline_gops, xlsr_operations
from benchmarks.machine import RESULTS, matrix_product_s, read_result, write_result
from metaser.runtime.system.files import SHARED, replace_text

WINDOWS_S = (1.0, 2.0, 4.0, 7.0, 10.0)
THREADS = (1, 2)
HEARD_S = 12.0
LEAST_RUNS = 2


def runs_at(seconds: float, heard_s: float = HEARD_S) -> int:
    """Runs per window: as many as fit into the audio per case of a peer, and at least two."""
    return max(LEAST_RUNS, round(heard_s / seconds))


def measure(peers: list[Peer], windows_s: list[float], threads: int, heard_s: float) -> dict[str, Any]:
    """Measure all windows with one number of threads, from short to long, in the same processes."""
    with ExitStack() as stack:
        running, failures = start(peers, threads, stack)
        loads = {name: own.load_s for name, own in running.items()}
        precisions = {name: own.precision for name, own in running.items()}
        cases = []
        for seconds in windows_s:
            case, failed = measure_case(running, seconds, runs_at(seconds, heard_s))
            cases.append({"seconds": seconds, "threads": threads, **case})
            failures |= {f"{name}, {seconds:g} s": reason for name, reason in failed.items()}
    return {"cases": cases, "load_s": loads, "precision": precisions, "failures": failures}


def measure_case(running: dict[str, Running], seconds: float, runs: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Measure one window; also the reasons of failed peers."""
    product_ms = 1000 * matrix_product_s()
    timed, failed = time_in_turn(running, seconds, runs)
    peers = {
        name: {
            "median_ms": own.median_ms,
            "first_ms": own.first_ms,
            "peak_mb": own.peak_mb,
            "ratios": ratios(own, timed),
            "times_ms": own.times_ms,
        }
        for name, own in timed.items()
        if own.times_ms
    }
    return {"runs": runs, "matrix_product_ms": product_ms, "peers": peers}, failed


def ratios(other: Timed, timed: dict[str, Timed]) -> dict[str, float]:
    """Speed-up of metaser over `other`, by form of metaser."""
    return {name: paired_ratio(other.times_ms, timed[name].times_ms) for name in (INT8, FP32) if name in timed}


def command(windows_s: list[float], threads: list[int]) -> str:
    """The command line that measures these cases."""
    words = ["python -m benchmarks.cost.latency WORK"]
    if windows_s != list(WINDOWS_S):
        words += ["--seconds", *(f"{seconds:g}" for seconds in windows_s)]
    if threads != list(THREADS):
        words += ["--threads", *map(str, threads)]
    return " ".join(words)


def main() -> None:
    """Prepare, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost.latency", description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=list(WINDOWS_S), metavar="S")
    parser.add_argument("--threads", type=int, nargs="+", default=list(THREADS), metavar="N")
    parser.add_argument(
        "--heard", type=float, default=HEARD_S, metavar="S", help="audio that a peer processes per case"
    )
    parser.add_argument("--prepare", action="store_true", help="only make missing files in WORK")
    given = parser.parse_args()
    windows_s, threads = sorted(given.seconds), sorted(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    peers, exports = make_peers(given.work.resolve())
    compiled = next(peer for peer in peers if peer.name == COMPILED)
    compile_s = compile_ahead(given.work.resolve(), compiled, windows_s, threads)
    if given.prepare:
        return
    rooflines = {count: roofline_gops(count) for count in threads}
    found = {count: measure(peers, windows_s, count, given.heard) for count in threads}
    figures: dict[str, Any] = {
        "command": command(windows_s, threads),
        "model": "XLS-R 300M, 24 layers unless said, random weights",
        "windows_s": windows_s,
        "threads": threads,
        "warm_up_runs": 1,
        "heard_s_a_case": given.heard,
        "exports": exports,
        "compile_s": compile_s,
        "encoder_mb": {peer.name: encoder_mb(peer) for peer in peers if peer.kind in ("metaser", "embed")},
        "roofline_gops": rooflines,
        "operations": {f"{seconds:g}": xlsr_operations(seconds, LAYERS) for seconds in windows_s},
        "precision": {name: kind for own in found.values() for name, kind in own["precision"].items()},
        "load_s": {count: own["load_s"] for count, own in found.items()},
        "failures": {count: own["failures"] for count, own in found.items()},
        "cases": [case for own in found.values() for case in own["cases"]],
    }
    write_result("latency", figures)
    document = read_result("latency")
    draw(document, RESULTS / "latency.png")
    replace_text(RESULTS / "latency.md", to_markdown(document, "latency.png"), mode=SHARED)


if __name__ == "__main__":
    main()
