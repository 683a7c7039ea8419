"""One peer in its own process, in any environment: it loads a model, then runs one clip per input line.

`python latency_worker.py KIND PATH THREADS`; when ready it writes a JSON object with the actual precision. Each line on
standard input is a clip's length in seconds; the reply is a JSON object with the milliseconds of one run. It imports
metaser only for metaser's bundles, so that every other peer is measured without it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
MOST_LENGTHS = 64
Clip = npt.NDArray[np.float32]
Run = Callable[[Clip], object]
Loaded = tuple[Run, str]
"""The function that runs a clip, and the precision of its matrix products."""


def metaser(path: str, threads: int, provider: str = "cpu") -> Loaded:
    """The encoder of a bundle in the runtime."""
    engine = _engine(path, threads, provider)
    return engine.model.frames, _bundle_precision(engine)


def embed(path: str, threads: int) -> Loaded:
    """A bundle in the runtime, up to the embedding, for clips of any length."""
    engine = _engine(path, threads)
    return engine.embed, _bundle_precision(engine)


def _engine(path: str, threads: int, provider: str = "cpu") -> Any:
    from metaser.runtime import Engine

    return Engine.open(path, provider=provider, threads=threads)


def _bundle_precision(engine: Any) -> str:
    from metaser.runtime.providers.integer_products import fast_kernels_are_exact

    if engine.bundle.manifest.precision != "int8":
        return f"{engine.bundle.manifest.precision} graph"
    return f"int8, {'fast' if fast_kernels_are_exact() else 'exact'} kernels"


def eager(path: str, threads: int, device: str = "cpu", dtype: str = "float32") -> Loaded:
    """transformers in PyTorch, eager."""
    model = _transformers_model(path, threads, device, dtype)
    return lambda clip: _hidden_state(model, clip), dtype


def compiled(path: str, threads: int, device: str = "cpu", dtype: str = "float32") -> Loaded:
    """The same through torch.compile, with one graph per length."""
    import torch
    import torch._dynamo

    torch._dynamo.config.recompile_limit = MOST_LENGTHS
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # instead of silently running uncompiled
    model: Any = torch.compile(_transformers_model(path, threads, device, dtype), dynamic=False)
    return lambda clip: _hidden_state(model, clip), dtype


def _transformers_model(path: str, threads: int, device: str, dtype: str) -> Any:
    import torch
    from transformers import AutoModel

    torch.set_num_threads(threads)
    return AutoModel.from_pretrained(path).to(device, getattr(torch, dtype)).eval()


def _hidden_state(model: Any, clip: Clip) -> object:
    """Float32 [T] in main memory -> float32 frames there, as in the runtime."""
    import torch

    with torch.inference_mode():
        samples = torch.from_numpy(standardised(clip))[None].to(model.device, model.dtype)
        return model(samples).last_hidden_state.float().cpu()


def onnxruntime_plain(path: str, threads: int) -> Loaded:
    """A graph of Optimum in ONNX Runtime with its default settings, except for disabled telemetry."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # has an effect only before the module is loaded
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)
    integer = {kind: count for kind, count in kinds.items() if kind.endswith("Integer")}
    precision = ", ".join(f"{count} {kind}" for kind, count in sorted(integer.items())) or "float32"
    return lambda clip: session.run(["last_hidden_state"], {"input_values": standardised(clip)[None]}), precision


def openvino(path: str, threads: int) -> Loaded:
    """A graph of Optimum in OpenVINO, in bfloat16 if the processor supports it, otherwise in OpenVINO's choice."""
    import openvino as ov

    core = ov.Core()
    model = core.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads})
    run = [operation.get_rt_info() for operation in model.get_runtime_model().get_ops()]
    products = [facts for facts in run if facts["layerType"].astype(str) in ("MatMul", "FullyConnected")]
    precisions = Counter(facts["runtimePrecision"].astype(str) for facts in products)
    precision = ", ".join(f"{count} products in {kind}" for kind, count in precisions.most_common())
    return lambda clip: model([standardised(clip)[None]]), precision


def standardised(clip: Clip) -> Clip:
    """Zero mean and unit variance, which the peers leave to the caller."""
    return (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)


LOADERS: dict[str, Callable[[str, int], Loaded]] = {
    "metaser": metaser,
    "embed": embed,
    "eager": eager,
    "compiled": compiled,
    "optimum": onnxruntime_plain,
    "openvino": openvino,
    "metaser-openvino": partial(metaser, provider="openvino"),
    "metaser-cuda": partial(metaser, provider="cuda"),
    "eager-cuda-fp32": partial(eager, device="cuda"),
    "eager-cuda-fp16": partial(eager, device="cuda", dtype="float16"),
    "compiled-cuda-fp16": partial(compiled, device="cuda", dtype="float16"),
}


@cache
def noise(seconds: float) -> Clip:
    """A clip; its content does not change the time."""
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE_HZ))).astype(np.float32)


def main() -> None:
    """Load, then reply to each line with the milliseconds of one run."""
    kind, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    start = time.perf_counter()
    run, precision = LOADERS[kind](path, threads)
    notify(load_s=time.perf_counter() - start, precision=precision)
    for line in sys.stdin:
        clip = noise(float(line))
        start = time.perf_counter()
        run(clip)
        milliseconds = 1000 * (time.perf_counter() - start)
        notify(ms=milliseconds, peak_mb=peak_mb())


def peak_mb() -> float:
    """Peak memory of this program; unlike ru_maxrss it does not count the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def notify(**values: float | str) -> None:
    """Write one JSON object as a line, and flush."""
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
