"""XLS-R 300M at full size beside what people would use instead: `python -m benchmarks.latency WORK [--seconds 4]`.

WORK is a folder for models and the peers' environments, about 8 GB; what is there is used again. The weights are
random, which changes no time. Each peer is a process of its own; runs alternate, so that a busy machine hits all alike,
and a fixed matrix product stands beside every round. The peers: PyTorch eager and compiled, `optimum-cli export onnx`
in ONNX Runtime (Optimum's own environment, as it pins an older transformers), and its graph in OpenVINO. They need a
package index when their environments are made.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.latency_report import to_markdown
from benchmarks.machine import RESULTS, matrix_product_s, write_result

LAYERS = 24
SHORTER = (14, 8)
ROUNDS, RUNS = 5, 5
ENVIRONMENTS = {
    "optimum": ["torch==2.13.0", "optimum-onnx==0.1.0", "onnxruntime==1.32.0"],
    "openvino": ["openvino==2026.4.1", "numpy"],
}
WORKER = Path(__file__).with_name("latency_worker.py")


@dataclass
class Peer:
    """One way to run the model, in its process."""

    name: str
    kind: str
    path: Path
    python: str = sys.executable
    times_ms: list[list[float]] = field(default_factory=list)
    """By round."""
    load_s: float = 0.0
    peak_mb: float = 0.0

    def start(self, seconds: float, threads: int) -> subprocess.Popen[str]:
        """The process, ready to run."""
        words = [self.python, str(WORKER), self.kind, str(self.path), str(seconds), str(threads)]
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        child = subprocess.Popen(
            words, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.load_s = _answer(child)["load_s"]
        return child

    def run(self, child: subprocess.Popen[str]) -> float:
        """Milliseconds of one run."""
        assert child.stdin is not None
        child.stdin.write("run\n")
        child.stdin.flush()
        answer = _answer(child)
        self.peak_mb = max(self.peak_mb, answer["peak_mb"])
        return answer["ms"]

    @property
    def best_median_ms(self) -> float:
        """The best of the rounds' medians."""
        return min(statistics.median(times) for times in self.times_ms)


def _answer(child: subprocess.Popen[str]) -> dict[str, float]:
    assert child.stdout is not None
    answer: dict[str, float] = json.loads(child.stdout.readline())
    return answer


def make_model(work: Path) -> Path:
    """XLS-R 300M in the hub's layout, with random weights."""
    folder = work / "xlsr"
    if not (folder / "config.json").exists():
        import torch
        from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

        torch.manual_seed(0)
        config = Wav2Vec2Config(
            hidden_size=1024, num_hidden_layers=LAYERS, num_attention_heads=16, intermediate_size=4096,
            conv_bias=True, feat_extract_norm="layer", do_stable_layer_norm=True,
        )  # fmt: skip
        Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
        Wav2Vec2Model(config).save_pretrained(folder)
    return folder


def make_bundle(work: Path, model: Path, precision: str, layers: int) -> tuple[Path, dict[str, float]]:
    """A bundle, and what its export cost when it was made."""
    folder, cost_file = work / f"{precision}-{layers}", work / f"{precision}-{layers}.cost.json"
    if folder.exists() and cost_file.exists():
        cost: dict[str, float] = json.loads(cost_file.read_text(encoding="utf-8"))
        return folder, cost
    command = [sys.executable, "-m", "metaser.cli", "export", str(model), str(folder)]
    start = time.perf_counter()
    child = subprocess.Popen(
        [*command, f"--{precision}", "--layers", str(layers), "--force"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, command
    cost = {"seconds": time.perf_counter() - start, "peak_mb": usage.ru_maxrss / 1024}
    cost_file.write_text(json.dumps(cost), encoding="utf-8")
    return folder, cost


def make_environment(work: Path, name: str) -> Path:
    """The folder of a peer's programs."""
    folder = work / f"{name}-env"
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *ENVIRONMENTS[name]], check=True)
    return folder / "bin"


def make_peers(work: Path, *, compiled: bool) -> tuple[list[Peer], dict[str, Any]]:
    """All peers, and what the exports cost."""
    model = make_model(work)
    exports: dict[str, Any] = {}
    peers = []
    for precision, layers in (("fp32", LAYERS), ("int8", LAYERS), *(("int8", layers) for layers in SHORTER)):
        folder, cost = make_bundle(work, model, precision, layers)
        exports[f"{precision}, {layers} layers"] = cost
        peers.append(Peer(f"metaser {precision}, {layers} layers", "metaser", folder))
    peers.append(Peer("PyTorch eager", "eager", model))
    if compiled:
        peers.append(Peer("PyTorch compiled", "compiled", model))
    optimum, plain = make_environment(work, "optimum"), work / "optimum"
    if not plain.exists():
        words = ["export", "onnx", "--model", str(model), "--task", "feature-extraction", str(plain)]
        subprocess.run([optimum / "optimum-cli", *words], check=True, stdout=subprocess.DEVNULL)
    graph = plain / "model.onnx"
    peers.append(Peer("optimum-cli export onnx, ONNX Runtime", "optimum", graph, str(optimum / "python")))
    openvino = make_environment(work, "openvino")
    peers.append(Peer("the same graph, OpenVINO", "openvino", graph, str(openvino / "python")))
    return peers, exports


def measure(peers: list[Peer], seconds: float, threads: int) -> list[float]:
    """Fill in the peers' figures; the milliseconds of the matrix product before each round."""
    children = [peer.start(seconds, threads) for peer in peers]
    products_ms = []
    for _ in range(ROUNDS):
        products_ms.append(1000 * matrix_product_s())
        for peer in peers:
            peer.times_ms.append([])
        for _ in range(RUNS):
            for peer, child in zip(peers, children, strict=True):
                peer.times_ms[-1].append(peer.run(child))
    for child in children:
        child.communicate()
    return products_ms


def main() -> None:
    """Prepare, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compiled", action="store_true", help="Measure torch.compile too; it needs a C++ compiler.")
    parser.add_argument("--prepare", action="store_true", help="Only make what is missing in WORK.")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    peers, exports = make_peers(arguments.work.resolve(), compiled=arguments.compiled)
    if arguments.prepare:
        return
    products_ms = measure(peers, arguments.seconds, arguments.threads)
    figures: dict[str, Any] = {
        "command": f"python -m benchmarks.latency WORK --seconds {arguments.seconds:g} --threads {arguments.threads}"
        + (" --compiled" if arguments.compiled else ""),
        "model": f"XLS-R 300M, {LAYERS} layers unless said, random weights",
        "seconds": arguments.seconds,
        "threads": arguments.threads,
        "rounds": ROUNDS,
        "runs": RUNS,
        "matrix_product_ms": products_ms,
        "exports": exports,
        "bundle_mb": {peer.name: _size_mb(peer.path) for peer in peers if peer.kind == "metaser"},
        "peers": {
            peer.name: {
                "best_median_ms": peer.best_median_ms,
                "load_s": peer.load_s,
                "peak_mb": peer.peak_mb,
                "ratios": {other.name: paired_ratio(other, peer) for other in peers if other is not peer},
                "times_ms": peer.times_ms,
            }
            for peer in peers
        },
    }
    name = f"latency_{arguments.seconds:g}s_{arguments.threads}t"
    write_result(name, figures)
    document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    (RESULTS / f"{name}.md").write_text(to_markdown(document), encoding="utf-8")


def paired_ratio(other: Peer, peer: Peer) -> float:
    """How many times faster `peer` is than `other`: the median of the ratios of runs side by side."""
    pairs = zip((ms for own in other.times_ms for ms in own), (ms for own in peer.times_ms for ms in own), strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.glob("encoder.onnx*")) / 1e6


if __name__ == "__main__":
    main()
