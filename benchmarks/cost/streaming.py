"""Latency, lost audio, processor load and memory of live streams, end to end.

    python -m benchmarks.cost.streaming [--bundle DIR] [--streams N] [--window S] [--hop S] [--threads N] [--hour]

One engine serves N streams in real time. Each is fed through the ring buffer of a microphone, where audio is lost if
the model cannot keep up. They play the demonstration's conversation, or with `--speech` its speech without pauses, or a
third of that in turns of five seconds. Each starts at a different place, or with `--in-step` all at the same place, so
that all windows are due at the same time. Bundles other than the shipped one are also enrolled with the demonstration's
clips: their labels have no meaning, but the work is the same. The results of all runs are collected in
`results/streaming.json` and `results/streaming.md`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from benchmarks.cost.streaming_live import BLOCK, serve
from benchmarks.cost.streaming_process import first_label_s, memory_growth_mb
from benchmarks.cost.streaming_report import to_markdown
from benchmarks.machine import RESULTS, commit, machine, matrix_product_s, read_result, write_result
from metaser.runtime import Engine, Stream, StreamSettings, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.bundles.bundle import shipped_folder
from metaser.runtime.system.files import SHARED, replace_text

DEMO = shipped_folder() / "demo"
SILENCE_S = 60
TURN_S = 5
NAME = "streaming"


def continuous_speech() -> Waveform:
    """The conversation's minute filled with the speech of the support clips, float32 [T] at 16 kHz."""
    clips = [load_speech(path) for path in sorted((DEMO / "support").glob("*/*"))]
    return np.resize(np.concatenate(clips), SILENCE_S * SAMPLE_RATE_HZ)


def a_third_of(speech: Waveform) -> Waveform:
    """The same with near silence in two of three turns."""
    noise = np.random.default_rng(0).normal(0, 1e-3, len(speech)).astype(np.float32)
    turns = np.arange(len(speech)) // (TURN_S * SAMPLE_RATE_HZ)
    return np.where(turns % 3 == 0, speech, noise)


MATERIAL: dict[str, Callable[[], Waveform]] = {
    "conversation": lambda: load_audio(DEMO / "conversation.flac"),
    "continuous": continuous_speech,
    "third": lambda: a_third_of(continuous_speech()),
}


def core_share_of_silence(stream: Stream) -> float:
    """Processor seconds per second of near silence."""
    noise = np.random.default_rng(0).normal(0, 1e-3, SILENCE_S * SAMPLE_RATE_HZ).astype(np.float32)
    began = time.process_time()
    for chunk in np.split(noise, range(BLOCK, len(noise), BLOCK)):
        stream.push(chunk)
    return (time.process_time() - began) / SILENCE_S


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """All results of one run."""
    engine = Engine.open(arguments.bundle, provider="cpu", threads=arguments.threads)
    profile = engine.enroll(DEMO / "support")
    conversation = MATERIAL[arguments.speech]()
    product_ms = [1000 * matrix_product_s()]
    settings = StreamSettings(arguments.window, arguments.hop, min(StreamSettings.min_window_s, arguments.window))
    live = serve(engine, profile, conversation, settings, streams=arguments.streams, in_step=arguments.in_step)
    product_ms.append(1000 * matrix_product_s())
    manifest = engine.bundle.manifest
    figures: dict[str, object] = {
        "bundle": manifest.name,
        "layers": manifest.backbone.layers,
        "precision": manifest.precision,
        "streams": arguments.streams,
        "in_step": arguments.in_step,
        "speech": arguments.speech,
        "window_s": arguments.window,
        "hop_s": arguments.hop,
        "threads": arguments.threads,
        "commit": commit(),
        "matrix_product_ms": [round(each, 1) for each in product_ms],
        **live,
        "core_share_silence": round(core_share_of_silence(engine.stream(profile, settings=settings)), 4),
        **first_label_s(profile, conversation, arguments),
    }
    if arguments.hour:
        figures["hour_memory_growth_mb"] = memory_growth_mb(profile, conversation, arguments)
    return figures


def main() -> None:
    """Measure one run, write all results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost.streaming", description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", metavar="DIR")
    parser.add_argument("--streams", type=int, default=1, metavar="N")
    parser.add_argument("--in-step", action="store_true")
    parser.add_argument("--speech", choices=MATERIAL, default="conversation")
    parser.add_argument("--window", type=float, default=StreamSettings.window_s, metavar="S")
    parser.add_argument("--hop", type=float, default=StreamSettings.hop_s, metavar="S")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="per window; streams run in parallel")
    parser.add_argument("--hour", action="store_true", help="also the memory over an hour of audio at top speed")
    arguments = parser.parse_args()
    figures = measure(arguments)
    words = [f"{figures['bundle']}", f"{arguments.streams} streams"]
    words += [f"{arguments.window:g} s every {arguments.hop:g} s", f"{arguments.threads} threads"]
    words += ["in step"] if arguments.in_step else []
    words += [f"{arguments.speech} speech"] if arguments.speech != "conversation" else []
    before = read_result(NAME)
    runs = before.get("runs", {}) if before.get("machine", {}).get("processor") == machine()["processor"] else {}
    runs[", ".join(words)] = figures
    write_result(NAME, {"command": "python -m benchmarks.cost.streaming --help", "runs": runs})
    replace_text(RESULTS / f"{NAME}.md", to_markdown(read_result(NAME)), mode=SHARED)


if __name__ == "__main__":
    main()
