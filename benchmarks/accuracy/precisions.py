"""The default model in other precisions: `python -m benchmarks.accuracy.precisions CORPUS ...`, labelled corpora.

Precisions: float32; int8 with one scale per activation, measured at run time (as in the bundle) or fixed on clips
(static); weights of 8 and 4 bits by blocks with activations quantised row by row (`MatMulNBits`, accuracy level 4).
Measured for each: graph size, milliseconds for 3 s on one and two threads (in each round one run of every precision in
turn), and 4-way 5-shot accuracy on validation speakers, disjoint, as a paired difference from float32.
Writes `results/precisions.json` and `.md`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

from benchmarks.machine import RESULTS, matrix_product_s, read_result, write_result
from benchmarks.markdown import table
from metaser.export.graphs import encoder_graph
from metaser.export.int8 import activations, to_int8
from metaser.export.layer_choice import EPISODES, chosen_clips
from metaser.export.observation import measure_ranges
from metaser.export.source import open_source
from metaser.runtime import Engine, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Waveform
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.bundles.bundle import sha256_of, shipped_folder
from metaser.runtime.providers.session import session_options
from metaser.runtime.system.files import SHARED, replace_text
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.evaluation.evaluate import compare, evaluate

MODEL = Path(__file__).parents[2] / "models" / "default"
WINDOW_S, CLIP_S, ROUNDS = 10.0, 3.0, 40
BLOCK = 128
EXACT = "fp32"


def make_forms() -> dict[str, onnx.ModelProto]:
    """The encoder in each precision by name."""
    exact = encoder_graph(open_source(str(MODEL), None, None).network.backbone, WINDOW_S)
    clips = [load_audio(path) for path in sorted((shipped_folder() / "demo" / "support").glob("*/*"))]
    return {
        EXACT: exact,
        "int8": to_int8(exact),
        "int8 static": to_int8(exact, measure_ranges(exact, activations(exact), clips)),
        "8 bits by blocks of 128": _by_blocks(exact, 8),
        "4 bits by blocks of 128": _by_blocks(exact, 4),
    }


def _by_blocks(exact: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(exact)
    config = DefaultWeightOnlyQuantConfig(block_size=BLOCK, is_symmetric=True, accuracy_level=4, bits=bits)
    quantiser = MatMulNBitsQuantizer(copied, algo_config=config)
    quantiser.process()
    return quantiser.model.model


def milliseconds(paths: dict[str, Path], threads: int) -> dict[str, float]:
    """The median of each precision's runs, in turn."""
    clip = np.random.default_rng(0).standard_normal((1, int(CLIP_S * SAMPLE_RATE_HZ))).astype(np.float32) / 10
    feeds = {"input_values": clip, "input_lengths": np.array([clip.shape[1]], np.int64)}
    sessions = {name: onnxruntime.InferenceSession(path, session_options(threads)) for name, path in paths.items()}
    times: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(ROUNDS + 1):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(None, feeds)
            if number:
                times[name].append(time.perf_counter() - began)
    return {name: round(1000 * statistics.median(own), 2) for name, own in times.items()}


def accuracies(paths: dict[str, Path], corpus: Path) -> dict[str, dict[str, Any]]:
    """Few-shot accuracy of each precision, and minus that of float32, in per cent with 95 % intervals over episodes."""
    clips = chosen_clips(corpus)
    sampler = EpisodeSampler(clips, EpisodeSettings(4, 5, 15, "disjoint"), 0)
    waveforms = [load_speech(clip.path)[: int(WINDOW_S * SAMPLE_RATE_HZ)] for clip in clips]
    digests = tuple(sha256_of(clip.path) for clip in clips)
    found = {}
    for name, path in paths.items():
        embed = _embedder(path)
        found[name] = evaluate(
            Embedded(clips, digests, np.stack([embed(each) for each in waveforms]), ()), sampler, EPISODES
        )
    report = {}
    for name, own in found.items():
        difference = compare(own, found[EXACT]).by_episodes
        report[name] = {
            "accuracy": round(100 * own.accuracy.mean, 2),
            "minus_fp32": [round(100 * value, 2) for value in (difference.mean, difference.low, difference.high)],
        }
    return report


def _embedder(path: Path) -> Callable[[Waveform], Embedding]:
    engine = Engine.open(provider="cpu", threads=1)  # for its head
    session = onnxruntime.InferenceSession(path, session_options(1))

    def embed(clip: Waveform) -> Embedding:
        feeds = {"input_values": clip[None], "input_lengths": np.array([len(clip)], np.int64)}
        return engine.model.pool(session.run(["last_hidden_state"], feeds)[0][0])

    return embed


def to_markdown(document: dict[str, Any]) -> str:
    """One table with one row per precision."""
    machine, corpora = document["machine"], list(document["accuracy"])
    rows = [
        [
            name,
            f"{document['encoder_mb'][name]:.1f}",
            *(f"{own[name]:.1f}" for own in document["ms"].values()),
            *(_accuracy(document["accuracy"][corpus][name]) for corpus in corpora),
        ]
        for name in document["encoder_mb"]
    ]
    about = (
        f"{machine['processor']} ({', '.join(machine['flags'])}), commit {machine['commit']}. "
        f"`{document['command']}`. A fixed 1024³ float32 product took {document['matrix_product_ms']:.1f} ms. "
        f"Milliseconds for 3 s, medians of {ROUNDS} alternating runs. Accuracy: 4-way 5-shot, unseen speakers among "
        "the validation speakers, per cent, and minus float32's on the same episodes with its 95 % interval."
    )
    columns = ["", "graph, MB", *(f"ms, {threads} thr." for threads in document["ms"]), *corpora]
    return f"# The default model in other precisions\n\n{about}\n\n{table(columns, rows)}\n"


def _accuracy(found: dict[str, Any]) -> str:
    mean, low, high = found["minus_fp32"]
    return f"{found['accuracy']:.1f}, {mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.precisions", description=__doc__.split("\n")[0]
    )
    parser.add_argument("corpora", type=Path, nargs="+", metavar="CORPUS")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        paths = {}
        for name, model in make_forms().items():
            paths[name] = Path(folder) / f"{name}.onnx"
            onnx.save(model, paths[name])
        figures: dict[str, Any] = {
            "command": "python -m benchmarks.accuracy.precisions CORPUS ...",
            "matrix_product_ms": 1000 * matrix_product_s(),
            "encoder_mb": {name: path.stat().st_size / 1e6 for name, path in paths.items()},
            "ms": {str(threads): milliseconds(paths, threads) for threads in (1, 2)},
            "accuracy": {corpus.name: accuracies(paths, corpus) for corpus in given.corpora},
        }
    write_result("precisions", figures)
    replace_text(RESULTS / "precisions.md", to_markdown(read_result("precisions")), mode=SHARED)


if __name__ == "__main__":
    main()
