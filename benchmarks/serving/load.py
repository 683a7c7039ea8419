"""The server compared with the library alone: `python -m benchmarks.serving.load [--quick]`.

How many live streams of people who speak all the time are carried without a loss, by the library in one process and by
the server with clients on the same machine; latency of events; connections of which most are silent; time to start;
memory per stream, over connections and over an hour of eight streams. Writes `results/serve.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cost.streaming import DEMO, continuous_speech
from benchmarks.cost.streaming_live import serve as library
from benchmarks.machine import machine, matrix_product_s, write_result
from benchmarks.serving import clients
from metaser.runtime import Engine, Profile, StreamSettings
from metaser.runtime.arrays import SAMPLE_RATE_HZ

SECONDS = 30
WARM_UP_S = 5
STEP, MOST = 4, 120
CYCLES = 10_000
PORT = 8799
STARTS = 5


@contextmanager
def server(profile: Profile, *words: str) -> Iterator[tuple[int, float]]:
    """A running server's process id, and the seconds from its start until it was ready."""
    with tempfile.TemporaryDirectory() as folder:
        profile.save(Path(folder) / "me.safetensors")
        command = [sys.executable, "-m", "metaser.cli", "serve", "--port", str(PORT), "--profiles", folder, *words]
        began = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while not _is_ready():
                time.sleep(0.01)
            yield process.pid, time.perf_counter() - began
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def carried(by: Callable[[int], dict[str, Any]], first: int) -> list[dict[str, Any]]:
    """The figures of more and more streams, from `first`, while they are carried without a loss or an overload.

    Raises:
        SystemExit: even the first number is too large.
    """
    found: list[dict[str, Any]] = []
    for streams in range(first, MOST + 1, STEP):
        figures = by(streams)
        print(figures, flush=True)
        if figures["dropped_ms"] or figures["overloads"]:
            break
        found.append(figures)
    if not found:
        raise SystemExit(f"{first} streams are too many for this machine: give a smaller --first")
    return found


def by_library(engine: Engine, profile: Profile, speech: np.ndarray, streams: int) -> dict[str, Any]:
    """The library alone, with a thread per stream."""
    found = library(engine, profile, speech, StreamSettings(), streams=streams, in_step=False)
    return {
        "streams": streams,
        "latency_ms_p50": found["window_to_event_ms_p50"],
        "latency_ms_p95": found["window_to_event_ms_p95"],
        "dropped_ms": found["dropped_ms"],
        "overloads": found["overload_events"],
    }


def by_server(speech: np.ndarray, streams: int, silent: int = 0) -> dict[str, Any]:
    """The server, with clients in this process."""
    silence = clients.frames_of(np.random.default_rng(0).normal(0, 1e-3, len(speech)).astype(np.float32))
    heard = asyncio.run(clients.many(PORT, clients.frames_of(speech), streams, silence, silent))
    p50, p95 = np.percentile([ms for each in heard for ms in each.latencies_ms], [50, 95])
    return {
        "streams": streams,
        **({"silent": silent} if silent else {}),
        "latency_ms_p50": round(float(p50), 1),
        "latency_ms_p95": round(float(p95), 1),
        "dropped_ms": sum(each.dropped_ms for each in heard),
        "overloads": sum(each.overloads for each in heard),
        "closed_well": sum(each.close_code == 1000 for each in heard),
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.load", description=__doc__.split("\n")[0])
    parser.add_argument("--first", type=int, default=20, metavar="N", help="streams to begin with")
    parser.add_argument("--quick", action="store_true", help="without the connections and the hour")
    arguments = parser.parse_args()
    engine = Engine.open(provider="cpu", threads=1)
    profile = engine.enroll(DEMO / "support")
    speech = continuous_speech()[: SECONDS * SAMPLE_RATE_HZ]
    product_ms = [1000 * matrix_product_s()]
    figures: dict[str, Any] = {"bundle": engine.bundle.manifest.name, "seconds": SECONDS}
    by_library(engine, profile, speech[: WARM_UP_S * SAMPLE_RATE_HZ], 2)
    by_number = carried(lambda streams: by_library(engine, profile, speech, streams), arguments.first)
    figures["library"] = by_number[-1]
    limits = ("--streams", str(MOST), "--connections", "200")
    starts = []
    for _ in range(STARTS):
        with server(profile) as (_, ready_s):
            starts.append(ready_s)
    figures["ready_s"] = round(float(np.median(starts)), 2)
    with server(profile, *limits) as (pid, _):
        empty_mb = memory_mb(pid)
        served = carried(lambda streams: by_server(speech, streams), arguments.first)
        figures["server"] = served[-1]
        figures["memory"] = {
            "empty_mb": round(empty_mb, 1),
            "mb_a_stream": round((memory_mb(pid) - empty_mb) / served[-1]["streams"], 2),
        }
        library, own = list(zip(by_number, served, strict=False))[-1]
        figures["as many streams by both"] = {"library": library, "server": own}
        figures["fifty connections"] = by_server(speech, 20, 30)
    if not arguments.quick:
        figures |= endurance(profile, speech)
    product_ms.append(1000 * matrix_product_s())
    figures["matrix_product_ms"] = [round(each, 1) for each in product_ms]
    write_result("serve", {"machine": machine(), "command": "python -m benchmarks.serving.load", **figures})
    return 0


def endurance(profile: Profile, speech: np.ndarray) -> dict[str, Any]:
    """Growth over many connections, and over an hour of eight streams at top speed, after a tenth of each."""
    frames = clients.frames_of(speech)
    repeats = 3600 // SECONDS
    with server(profile) as (pid, _):
        asyncio.run(clients.cycle(PORT, CYCLES // 10))
        before = memory_mb(pid)
        asyncio.run(clients.cycle(PORT, CYCLES))
        cycles_mb = memory_mb(pid) - before
        asyncio.run(clients.hour(PORT, frames, 8, repeats // 10))
        before = memory_mb(pid)
        asyncio.run(clients.hour(PORT, frames, 8, repeats))
        hour_mb = memory_mb(pid) - before
    return {"cycles": CYCLES, "growth_over_cycles_mb": round(cycles_mb, 2), "growth_over_an_hour_mb": round(hour_mb, 2)}


if __name__ == "__main__":
    sys.exit(main())
