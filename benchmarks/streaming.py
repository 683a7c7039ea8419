"""Latency, processor and memory of streams: `python -m benchmarks.streaming [--bundle DIR] [--hour]`.

The demonstration's conversation is streamed in chunks of 32 ms. `--hour` adds an hour of it at top speed, for memory.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.machine import write_result
from metaser.runtime import Engine, Profile, StreamEvent, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.bundle import shipped_folder

CHUNK = 512
STREAMS = 8
SILENCE_S = 60
HOUR_S = 3600
Audio = npt.NDArray[np.float32]


def push_all(engine: Engine, profile: Profile, audio: Audio, *, realtime: bool = False) -> list[StreamEvent]:
    """All events; in real time as a live source."""
    stream = engine.stream(profile, live=realtime)
    began = time.perf_counter()
    events: list[StreamEvent] = []
    for start in range(0, len(audio), CHUNK):
        due = began + (start + CHUNK) / SAMPLE_RATE_HZ
        if realtime:
            time.sleep(max(0.0, due - time.perf_counter()))
        events += stream.push(audio[start : start + CHUNK], heard_at=due if realtime else None)
    return events + stream.finish()


def core_share(engine: Engine, profile: Profile, audio: Audio) -> float:
    """Seconds of processor for a second of audio."""
    began = time.process_time()
    push_all(engine, profile, audio)
    return (time.process_time() - began) * SAMPLE_RATE_HZ / len(audio)


def memory_mb() -> float:
    """What the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 1e6


def memory_growth_mb(engine: Engine, profile: Profile, audio: Audio) -> float:
    """How much memory an hour at top speed adds after its first minutes."""
    stream = engine.stream(profile)
    warm = 0.0
    for turn in range(round(HOUR_S * SAMPLE_RATE_HZ / len(audio))):
        for start in range(0, len(audio), CHUNK):
            stream.push(audio[start : start + CHUNK])
        if turn == 5:
            warm = memory_mb()
    return memory_mb() - warm


def main() -> None:
    """Measure, write the result."""
    bundle = sys.argv[sys.argv.index("--bundle") + 1] if "--bundle" in sys.argv else None
    began = time.perf_counter()
    engine = Engine.open(bundle, provider="cpu", threads=1)
    profile = engine.enroll(shipped_folder() / "demo" / "support")
    open_s = time.perf_counter() - began
    audio = load_audio(shipped_folder() / "demo" / "conversation.flac")
    noise = np.random.default_rng(0).normal(0, 1e-3, SILENCE_S * SAMPLE_RATE_HZ).astype(np.float32)
    events = push_all(engine, profile, audio, realtime=True)
    latencies = [event.latency_ms for event in events if event.event in ("enter", "update")]
    with ThreadPoolExecutor(STREAMS) as pool:
        served = list(pool.map(lambda _: push_all(engine, profile, audio, realtime=True), range(STREAMS)))
    together = [event.latency_ms for each in served for event in each if event.event in ("enter", "update")]
    figures: dict[str, object] = {
        "command": "python -m benchmarks.streaming --hour",
        "bundle": engine.bundle.manifest.name,
        "window_to_event_ms_p95": round(float(np.percentile(latencies, 95)), 1),
        "core_share_speech": round(core_share(engine, profile, audio), 4),
        "core_share_silence": round(core_share(engine, profile, noise), 4),
        "open_and_enroll_s": round(open_s, 3),
        "streams": STREAMS,
        "streams_window_to_event_ms_p95": round(float(np.percentile(together, 95)), 1),
        "streams_overload_events": sum(event.event == "overload" for each in served for event in each),
    }
    if "--hour" in sys.argv:
        figures["hour_memory_growth_mb"] = round(memory_growth_mb(engine, profile, audio), 2)
    write_result("streaming" if bundle is None else "streaming_bundle", figures)


if __name__ == "__main__":
    main()
