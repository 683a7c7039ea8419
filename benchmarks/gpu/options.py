"""Effects of settings of ONNX Runtime's CUDA provider: first run of a new length, later runs, and exactness."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from metaser.export.golden import voiced_waveform
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.providers.session import ENCODER_NAMES, open_session, run

OPTIONS: dict[str, dict[str, str]] = {"as metaser sets it": {}, "with TF32": {"use_tf32": "1"}}
NEW_LENGTHS_S = (2.0, 2.37, 2.9, 3.31, 3.83, 4.4, 5.2, 6.1)
RUNS = 50


def measure_options(bundles: dict[str, Path], provider: str) -> dict[str, Any]:
    """Measure by precision and setting; on other providers than CUDA the settings are skipped."""
    found: dict[str, Any] = {}
    for precision, folder in bundles.items():
        graph = folder / "encoder.onnx"
        exact = frames(open_session(graph, "cpu", None, ENCODER_NAMES), clip_of(4.0))
        found[precision] = {
            name: measure(graph, provider, options if provider == "cuda" else {}, exact)
            for name, options in OPTIONS.items()
        }
    return found


def measure(graph: Path, provider: str, options: dict[str, str], exact: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Milliseconds of first runs at new lengths and of repeated runs of 4 s, and the difference to the CPU."""
    began = time.perf_counter()
    session = open_session(graph, provider, None, ENCODER_NAMES, provider_options=options)
    opened_s = time.perf_counter() - began
    run_ms(session, clip_of(1.0))
    first = [run_ms(session, clip_of(seconds)) for seconds in NEW_LENGTHS_S]
    again = [run_ms(session, clip_of(seconds)) for seconds in NEW_LENGTHS_S]
    own = frames(session, clip_of(4.0))
    repeated = [run_ms(session, clip_of(4.0)) for _ in range(RUNS)]
    return {
        "open_s": opened_s,
        "first_run_ms": first,
        "second_run_ms": again,
        "repeated_4_s_ms": float(np.median(repeated)),
        "frames_max_difference": float(np.abs(own - exact).max() / np.abs(exact).max()),
    }


def clip_of(seconds: float) -> Waveform:
    """[T]."""
    return voiced_waveform(round(seconds * SAMPLE_RATE_HZ))


def frames(session: onnxruntime.InferenceSession, clip: Waveform) -> np.ndarray[Any, Any]:
    """[T] -> [N, D]."""
    feeds = {"input_values": clip[None], "input_lengths": np.array([len(clip)], np.int64)}
    return run(session, "last_hidden_state", feeds)[0]


def run_ms(session: onnxruntime.InferenceSession, clip: Waveform) -> float:
    """Milliseconds of one run."""
    began = time.perf_counter()
    frames(session, clip)
    return 1000 * (time.perf_counter() - began)
