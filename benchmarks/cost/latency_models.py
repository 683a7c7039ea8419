"""Models of the latency benchmark: XLS-R 300M in every form, the peers' environments, and the shipped bundles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cost.latency_peer import FailedPeerError, Peer, Running
from metaser.runtime import load_audio
from metaser.runtime.bundles.bundle import shipped_bundles, shipped_folder
from metaser.runtime.system.files import SHARED, replace_text

QUANTISE = Path(__file__).with_name("latency_quantise_worker.py")
LAYERS = 24
SHORTER = (14, 8)
COMPILED = "PyTorch compiled"
ENVIRONMENTS = {
    "optimum": ["torch==2.13.0", "optimum-onnx==0.1.0", "onnxruntime==1.32.0"],
    "provider": [f"{Path(__file__).parents[2]}[openvino]"],
    "openvino": ["openvino==2026.4.1", "nncf==3.4.0"],
}


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


def make_bundle(work: Path, model: Path, precision: str, layers: int, *options: str) -> tuple[Path, dict[str, float]]:
    """A bundle, and the time and memory of its export."""
    name = "-".join([precision, str(layers), *(option.strip("-") for option in options)])
    folder, cost_file = work / name, work / f"{name}.cost.json"
    if folder.exists() and cost_file.exists():
        cost: dict[str, float] = json.loads(cost_file.read_text(encoding="utf-8"))
        return folder, cost
    command = [sys.executable, "-m", "metaser.cli", "export", str(model), str(folder)]
    start = time.perf_counter()
    child = subprocess.Popen(
        [*command, f"--{precision}", "--layers", str(layers), "--force", *options], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, command
    cost = {"seconds": time.perf_counter() - start, "peak_mb": usage.ru_maxrss / 1024}
    replace_text(cost_file, json.dumps(cost), mode=SHARED)
    return folder, cost


def make_environment(work: Path, name: str) -> Path:
    """The folder of a peer's programs."""
    folder = work / f"{name}-env"
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *ENVIRONMENTS[name]], check=True)
    return folder / "bin"


def make_peers(work: Path) -> tuple[list[Peer], dict[str, Any]]:
    """All peers, and the cost of metaser's exports."""
    model = make_model(work)
    exports: dict[str, Any] = {}
    peers = []
    for precision, layers in (("fp32", LAYERS), ("int8", LAYERS), *(("int8", layers) for layers in SHORTER)):
        folder, cost = make_bundle(work, model, precision, layers)
        exports[f"{precision}, {layers} layers"] = cost
        peers.append(Peer(f"metaser {precision}, {layers} layers", "metaser", folder))
    peers.append(Peer("PyTorch eager", "eager", model))
    # keep torch.compile's cache, so that a second run compiles in a fraction of the time
    peers.append(Peer(COMPILED, "compiled", model, env={"TORCHINDUCTOR_CACHE_DIR": str(work / "inductor")}))
    optimum, plain = make_environment(work, "optimum"), work / "optimum"
    if not plain.exists():
        words = ["export", "onnx", "--model", str(model), "--task", "feature-extraction", str(plain)]
        subprocess.run([optimum / "optimum-cli", *words], check=True, stdout=subprocess.DEVNULL)
    graph = plain / "model.onnx"
    peers.append(Peer("optimum-cli export onnx, ONNX Runtime", "optimum", graph, str(optimum / "python")))
    openvino = make_environment(work, "openvino")
    peers.append(Peer("the same graph, OpenVINO", "openvino", graph, str(openvino / "python")))
    provider = make_environment(work, "provider")
    folder, cost = make_bundle(work, model, "fp32", LAYERS, "--portable")
    exports[f"fp32 portable, {LAYERS} layers"] = cost
    peers.append(
        Peer("metaser fp32 portable, OpenVINO's provider", "metaser-openvino", folder, str(provider / "python"))
    )
    peers += quantised_peers(work, graph, str(optimum / "python"), str(openvino / "python"))
    peers += [Peer(f"shipped {name}", "embed", name) for name in shipped_bundles()]  # cuts clips that exceed its window
    return peers, exports


def quantised_peers(work: Path, graph: Path, optimum: str, openvino: str) -> list[Peer]:
    """Optimum's graph in int8 by the usual tools."""
    clips = work / "clips.npz"
    if not clips.exists():
        spoken = [load_audio(path) for path in sorted((shipped_folder() / "demo" / "support").glob("*/*"))]
        np.savez(clips, *((clip - clip.mean()) / np.sqrt(clip.var() + 1e-7) for clip in spoken))
    by_nncf, dynamic = work / "nncf.xml", work / "dynamic.onnx"
    _quantise(openvino, "nncf", graph, by_nncf, clips)
    _quantise(optimum, "dynamic", graph, dynamic)
    return [
        Peer("the same graph in int8 by NNCF, OpenVINO", "openvino", by_nncf, openvino),
        Peer("its matrix products by quantize_dynamic, ONNX Runtime", "optimum", dynamic, optimum),
    ]


def _quantise(python: str, how: str, graph: Path, out: Path, *more: Path) -> None:
    if not out.exists():
        subprocess.run([python, QUANTISE, how, graph, out, *more], check=True, stdout=subprocess.DEVNULL)


def compile_ahead(work: Path, peer: Peer, windows_s: Sequence[float], threads: Sequence[int]) -> dict[str, float]:
    """Fill torch.compile's cache; return the seconds by case, including those of earlier calls.

    A case that cannot be compiled is skipped: the measurement reports the reason.
    """
    cost_file = work / "compiled.cost.json"
    costs: dict[str, float] = json.loads(cost_file.read_text(encoding="utf-8")) if cost_file.exists() else {}
    for count in threads:
        cases = {f"{seconds:g} s, {count} threads": seconds for seconds in windows_s}
        missing = {case: seconds for case, seconds in cases.items() if case not in costs}
        if not missing:
            continue
        try:
            with Running(peer, count) as running:
                for case, seconds in missing.items():
                    costs[case] = running.run(seconds)["ms"] / 1000
                    replace_text(cost_file, json.dumps(costs), mode=SHARED)
        except FailedPeerError as error:
            print(f"{peer.name}: {error}", file=sys.stderr)
    return costs


def encoder_mb(peer: Peer) -> float:
    """Megabytes of the encoder of a bundle: a folder or a shipped name."""
    folder = peer.path if isinstance(peer.path, Path) else shipped_folder() / "bundles" / peer.path
    return sum(path.stat().st_size for path in folder.glob("encoder.onnx*")) / 1e6
