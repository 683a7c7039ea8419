"""How many live streams a worker can carry: measured on the machine when it starts."""

from __future__ import annotations

import time

import numpy as np

from metaser.runtime import Engine, StreamSettings
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.silero import SpeechDetector
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES
from metaser.runtime.system.cores import best_threads

ROUNDS = 5
SHARE = 0.6
"""Of the processor that streams may use if all their people speak all the time; sockets and bursts need the rest."""


def measure_capacity(engine: Engine, workers: int) -> int:
    """Streams of continuous speech, with the default window and hop, for one of `workers` processes."""
    rng = np.random.default_rng(0)
    window_s, hop_s = StreamSettings.window_s, StreamSettings.hop_s
    window = rng.normal(0, 0.1, round(window_s * SAMPLE_RATE_HZ)).astype(np.float32)
    chunk = window[: round(hop_s * SAMPLE_RATE_HZ) // CHUNK_SAMPLES * CHUNK_SAMPLES]
    detector = SpeechDetector()
    times_s = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        engine.model.embed(window)
        detector.hear(chunk)
        times_s.append(time.perf_counter() - began)
    cores = best_threads() / workers
    return max(1, int(SHARE * cores * hop_s / min(times_s)))
