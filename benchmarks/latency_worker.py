"""One peer in a process of its own, in any environment: it loads a model, then runs a clip for each line it reads.

`python latency_worker.py KIND PATH SECONDS THREADS`; it writes a JSON object when it is ready and one after each run.
It imports nothing of metaser but for the kind `metaser`, so that a peer is measured with what it brings alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
Clip = npt.NDArray[np.float32]
Run = Callable[[Clip], object]


def metaser(path: str, threads: int) -> Run:
    """A bundle in the runtime."""
    from metaser.runtime import Engine

    engine = Engine.open(path, provider="cpu", threads=threads)
    return engine.frames


def eager(path: str, threads: int, compiled: bool = False) -> Run:
    """transformers in PyTorch, as it comes or through torch.compile."""
    import torch
    from transformers import AutoModel

    torch.set_num_threads(threads)
    model = AutoModel.from_pretrained(path).eval()
    if compiled:
        model = torch.compile(model)

    def run(clip: Clip) -> object:
        with torch.inference_mode():
            return model(torch.from_numpy(standardised(clip))[None]).last_hidden_state

    return run


def onnxruntime_plain(path: str, threads: int) -> Run:
    """A graph of Optimum in ONNX Runtime with its default settings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda clip: session.run(["last_hidden_state"], {"input_values": standardised(clip)[None]})


def openvino(path: str, threads: int) -> Run:
    """A graph of Optimum in OpenVINO, in bfloat16 where the processor computes it and else in what OpenVINO takes."""
    import openvino as ov

    core = ov.Core()
    model = core.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads})
    return lambda clip: model([standardised(clip)[None]])


def standardised(clip: Clip) -> Clip:
    """Zero mean and unit variance, which the peers leave to the caller."""
    result: Clip = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
    return result


LOADERS: dict[str, Callable[[str, int], Run]] = {
    "metaser": metaser,
    "eager": eager,
    "compiled": lambda path, threads: eager(path, threads, compiled=True),
    "optimum": onnxruntime_plain,
    "openvino": openvino,
}


def main() -> None:
    """Load, warm up, then answer each line with the milliseconds of a run."""
    kind, path, seconds, threads = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    start = time.perf_counter()
    run = LOADERS[kind](path, threads)
    load_s = time.perf_counter() - start
    noise = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE_HZ))
    clip: Clip = (0.1 * noise).astype(np.float32)
    run(clip)
    run(clip)
    say(load_s=load_s)
    for _ in sys.stdin:
        start = time.perf_counter()
        run(clip)
        milliseconds = 1000 * (time.perf_counter() - start)
        say(ms=milliseconds, peak_mb=peak_mb())


def peak_mb() -> float:
    """The most memory this program held; unlike ru_maxrss it does not count the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def say(**values: float) -> None:
    """One JSON object on a line, at once."""
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
