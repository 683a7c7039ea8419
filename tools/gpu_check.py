"""Check TensorRT on this machine: build, cache, results and times, in float32 and float16; run `make gpu-check`.

Exit code 0: all checks passed; 1: a check failed; 3: there is no GPU, no TensorRT or no provider for it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from metaser.runtime import Engine, MetaserError
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.providers.session import choose_providers
from metaser.runtime.scoring.decision import unit
from metaser.runtime.tensorrt.gpu import gpu_facts, tensorrt_version

MODEL = "openai/whisper-base"
LAYERS, WINDOW_S = 2, 3.0
LENGTHS_S = (0.2, 1.0, 2.99, 3.0, 7.5)
COSINE_AT_LEAST = {"fp32": 0.9999, "fp16": 0.999}
WARM_UP, RUNS = 10, 100
FASTER_AT_LEAST = 3.0
"""Minimum speed-up of opening a cached engine over building one."""


def main() -> int:
    """Run all checks on the model named on the command line, by default Whisper base."""
    model = sys.argv[1] if len(sys.argv) > 1 else MODEL
    try:
        print({**gpu_facts(), "tensorrt": tensorrt_version()})
        choose_providers("tensorrt", [], "fp32")
        with TemporaryDirectory() as folder:
            problems = [problem for precision in COSINE_AT_LEAST for problem in check(model, precision, Path(folder))]
    except MetaserError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return error.exit_code
    for problem in problems:
        print(f"gpu-check: {problem}", file=sys.stderr)
    print("gpu-check: failed" if problems else "gpu-check: passed")
    return 1 if problems else 0


def check(model: str, precision: str, folder: Path) -> list[str]:
    """Failed checks for one precision."""
    bundle, cache = folder / precision, folder / "engines"
    words = [model, str(bundle), f"--{precision}", "--layers", str(LAYERS), "--tensorrt", "--window", str(WINDOW_S)]
    subprocess.run([sys.executable, "-m", "metaser.cli", "export", *words], check=True)
    build_s, engine = timed_open(bundle, cache)
    cached_s, engine = timed_open(bundle, cache)
    print(f"{precision}: first opening {build_s:.1f} s, from the cache {cached_s:.1f} s")
    problems = []
    if cached_s * FASTER_AT_LEAST > build_s:
        problems.append(f"{precision}: the cache saves too little ({build_s:.1f} s, then {cached_s:.1f} s)")
    if not engine.verify().passed:
        problems.append(f"{precision}: the golden vectors are not reproduced")
    reference = Engine.open(bundle, provider="cpu")
    for length_s in LENGTHS_S:
        clip = noise(length_s)
        cosine = float(unit(engine.embed(clip)) @ unit(reference.embed(clip)))
        print(f"{precision}: {length_s:g} s, cosine to the CPU {cosine:.6f}")
        if not cosine >= COSINE_AT_LEAST[precision]:
            problems.append(f"{precision}: a clip of {length_s:g} s has a cosine of {cosine:.5f} to the CPU")
    del engine
    damaged = next(cache.glob("*/*.engine"))
    damaged.write_bytes(damaged.read_bytes()[:1000])
    _, engine = timed_open(bundle, cache)  # drops the damaged engine and builds again
    print(f"{precision}: {latency(engine)}")
    shutil.rmtree(cache)
    return problems


def timed_open(bundle: Path, cache: Path) -> tuple[float, Engine]:
    """Seconds to open, and the engine."""
    began = time.perf_counter()
    engine = Engine.open(bundle, provider="tensorrt", cache=cache, notify=print)
    return time.perf_counter() - began, engine


def latency(engine: Engine) -> str:
    """Percentiles of embedding one whole window."""
    clip = noise(WINDOW_S)
    times_ms = []
    for _ in range(WARM_UP + RUNS):
        began = time.perf_counter()
        engine.embed(clip)
        times_ms.append(1000 * (time.perf_counter() - began))
    p50, p90, p99 = np.percentile(times_ms[WARM_UP:], [50, 90, 99])
    return f"a window of {WINDOW_S:g} s in {p50:.2f} ms (p90 {p90:.2f}, p99 {p99:.2f}, {RUNS} runs after {WARM_UP})"


def noise(length_s: float) -> Waveform:
    """[T] of seeded noise."""
    samples = round(length_s * SAMPLE_RATE_HZ)
    return (0.1 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
