"""CUDA on this machine, XLS-R 300M at full size with random weights: `python -m benchmarks.gpu WORK`.

WORK is a folder for models and bundles, about 6 GB; existing files are reused. The parts, all of them or those named:

- `parity`: the network and its gradients in PyTorch on the GPU compared with the CPU, in every precision; bundles in
  fp32 and fp16 on ONNX Runtime's CUDA provider compared with the CPU; the output of `metaser verify` and `bench`;
- `options`: effects of settings of the CUDA provider;
- `latency`: the encoder on 1, 4 and 10 s compared with PyTorch, eager and compiled;
- `training`: `configs/xlsr-300m.toml` on synthetic speech in bf16 and fp16, stopped once and resumed.

It needs the extra `export`, and instead of `cpu` the extra `gpu` with the CUDA libraries. Writes `results/gpu.json`
and `.md`; parts that are not named keep their old results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmarks.cost.latency_models import LAYERS, make_bundle, make_model
from benchmarks.gpu.latency import gpu_peers, measure_latency
from benchmarks.gpu.options import measure_options
from benchmarks.gpu.parity import bundle_parity, torch_parity
from benchmarks.gpu.report import to_markdown
from benchmarks.gpu.training import settings, train_and_resume
from benchmarks.machine import RESULTS, installed, read_result, write_result
from metaser.runtime.errors import MissingDependencyError
from metaser.runtime.system.files import SHARED, replace_text
from metaser.runtime.tensorrt.gpu import gpu_facts, tensorrt_version

PARTS = ("parity", "options", "latency", "training")
PRECISIONS = ("fp32", "fp16")
TRAINED_PRECISIONS = ("bf16", "fp16")
TRAINED_LAYERS = 14
WINDOWS_S = (1.0, 4.0, 10.0)
THREADS = 1


def parity(given: argparse.Namespace, model: Path, bundles: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Measure parity: PyTorch, bundles and the command line."""
    yield {
        "torch": torch_parity(model, min(TRAINED_LAYERS, given.layers), given.device),
        "bundles": bundle_parity(bundles, given.device),
        "commands": {
            name: {precision: command(*words, given.device, folder) for precision, folder in bundles.items()}
            for name, words in (("verify", ("verify",)), ("bench", ("bench", "--json", "--repetitions", "1")))
        },
    }


def command(name: str, *words: Any) -> dict[str, Any]:
    """The exit code and output of a metaser command with a bundle on a provider."""
    *options, provider, folder = map(str, words)
    line = [sys.executable, "-m", "metaser.cli", name, *options, "--provider", provider, "--bundle", folder]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if name == "bench" and done.returncode == 0:
        case = json.loads(done.stdout)
        return {"exit_code": 0, **{key: case[key] for key in ("window_s", "latency_ms", "stages_ms", "peak_mb")}}
    said = [text.replace(folder, "BUNDLE") for text in (done.stdout + done.stderr).splitlines() if text.strip()]
    return {"exit_code": done.returncode, "said": said}


def options(given: argparse.Namespace, _model: Path, bundles: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Measure settings of the provider."""
    yield measure_options(bundles, given.device)


def latency(given: argparse.Namespace, model: Path, bundles: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Measure the latency of the encoder compared with PyTorch."""
    yield from measure_latency(gpu_peers(model, bundles, given.work), list(WINDOWS_S), given.runs, THREADS)


def training(given: argparse.Namespace, model: Path, _bundles: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Train the recipe in each GPU precision."""
    found = read_result("gpu").get("training", {})
    for precision in given.precision if given.device == "cuda" else ("fp32",):
        tables = settings(given.work, model, precision, given.device, given.episodes)
        stop_after = given.episodes // tables["optimiser"]["gradient_accumulation"] // 3
        found[precision] = train_and_resume(tables, given.work, stop_after)
        yield found


def card() -> dict[str, Any]:
    """The GPU, its driver, and the versions of the packages that use it."""
    facts: dict[str, Any] = {**gpu_facts(), "cuda_of_torch": torch.version.cuda}
    with suppress(MissingDependencyError):
        facts["tensorrt"] = tensorrt_version()
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts |= {"memory_gib": properties.total_memory / 1024**3, "cudnn": torch.backends.cudnn.version()}
    return facts | {"onnxruntime-gpu": installed("onnxruntime-gpu")}


def main() -> None:
    """Make missing files, measure the parts, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--episodes", type=int, default=200, help="per training run")
    parser.add_argument(
        "--precision", choices=TRAINED_PRECISIONS, nargs="+", default=list(TRAINED_PRECISIONS), help="of a training"
    )
    parser.add_argument("--runs", type=int, default=200, help="per window")
    parser.add_argument("--layers", type=int, default=LAYERS, help="fewer, for a trial run")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu, for a trial run without a GPU")
    parser.add_argument("--prepare", action="store_true", help="only make missing files in WORK")
    given = parser.parse_args()
    given.work = given.work.resolve()
    given.work.mkdir(parents=True, exist_ok=True)
    model = make_model(given.work)
    bundles = {precision: make_bundle(given.work, model, precision, given.layers)[0] for precision in PRECISIONS}
    if given.prepare:
        return
    parts: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
        "parity": parity, "options": options, "latency": latency, "training": training
    }  # fmt: skip
    for name in given.part:
        for found in parts[name](given, model, bundles):
            write_part(name, found, given)


def write_part(name: str, found: dict[str, Any], given: argparse.Namespace) -> None:
    """Add the results of a part to the document, with the GPU that gave them."""
    before = {key: value for key, value in read_result("gpu").items() if key in PARTS}
    facts = card() if given.device == "cuda" else {"gpu": None}
    figures = {
        "command": "python -m benchmarks.gpu WORK",
        "model": f"XLS-R 300M, {given.layers} layers, in training {min(TRAINED_LAYERS, given.layers)}; random weights",
        **before,
        name: {**found, "card": facts},
    }
    write_result("gpu", figures)
    replace_text(RESULTS / "gpu.md", to_markdown(read_result("gpu")), mode=SHARED)


if __name__ == "__main__":
    main()
