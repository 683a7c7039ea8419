"""The command line on real clips, compared with chance and PyTorch.

    python -m benchmarks.accuracy.real_clips BACKBONE RAVDESS

Support and query folders of four emotions, five clips each, with disjoint speakers, are built from RAVDESS in a
temporary folder. `metaser enroll` and `metaser classify --json` run on them, with the shipped bundle and with an fp32
export of the same model. The same embeddings, prototypes and cosines are computed in PyTorch from BACKBONE. Test
speakers are not used: support comes from training speakers, queries from validation speakers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import write_result
from metaser.export.bundle import ExportSettings, export_bundle
from metaser.export.source import Source
from metaser.runtime import open_bundle
from metaser.runtime.audio.trim import load_speech
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.episodes.sampler import split_of
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.network import ProtoNet, cosine_logits, identity_head, prototypes

LABELS = ("anger", "joy", "neutral", "sadness")
K_SHOT = 5
DRAWS = 10


def draw(corpus: Path, rng: np.random.Generator, folder: Path) -> None:
    """Copy a support set and a query set, speakers disjoint."""
    by_part: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for clip in read_corpus(corpus).utterances:
        part = {"train": "support", "validation": "query"}.get(split_of(clip))
        if part and clip.label in LABELS:
            by_part[part, clip.label].append(clip.path)
    for (part, label), paths in by_part.items():
        (folder / part / label).mkdir(parents=True)
        for row in rng.permutation(len(paths))[:K_SHOT]:
            shutil.copy(paths[row], folder / part / label)


def by_command_line(folder: Path, bundle: Path) -> dict[str, tuple[str | None, dict[str, float]]]:
    """File -> label and scores, by `metaser enroll` and `metaser classify --json`."""
    metaser = str(Path(sys.executable).parent / "metaser")
    profile = folder / f"{bundle.name}.safetensors"
    env = {**os.environ, "METASER_PROFILE": str(profile), "METASER_BUNDLE": str(bundle)}
    subprocess.run([metaser, "enroll", folder / "support"], env=env, check=True, capture_output=True)
    files = sorted((folder / "query").glob("*/*"))
    words = [metaser, "classify", "--json", *map(str, files)]
    lines = subprocess.run(words, env=env, check=True, capture_output=True, text=True).stdout.splitlines()
    return {answer["file"]: (answer["label"], answer["scores"]) for answer in map(json.loads, lines)}


def by_pytorch(network: ProtoNet, folder: Path, temperature: float) -> dict[str, dict[str, float]]:
    """File -> scores, by the same computation in PyTorch in float32."""

    def embed(path: Path) -> torch.Tensor:
        waveform = torch.from_numpy(load_speech(path))[None]
        return network.embed(waveform, torch.tensor([waveform.shape[1]]))[0]

    with torch.inference_mode():
        support = torch.stack(
            [embed(path) for label in LABELS for path in sorted((folder / "support" / label).iterdir())]
        )
        weights = torch.kron(torch.eye(len(LABELS)), torch.full((1, K_SHOT), 1 / K_SHOT))  # [C, M]
        classes = prototypes(support, weights)
        answers = {}
        for path in sorted((folder / "query").glob("*/*")):
            scores = (cosine_logits(embed(path)[None], classes, network.head.scale) / temperature).softmax(-1)[0]
            answers[str(path)] = dict(zip(LABELS, scores.tolist(), strict=True))
    return answers


def compare(
    device: dict[str, tuple[str | None, dict[str, float]]], reference: dict[str, dict[str, float]]
) -> list[tuple[bool, bool, bool, float]]:
    """One row per file: correct, unknown, same best class as PyTorch, largest difference of a score."""
    rows = []
    for file, (label, scores) in device.items():
        best, expected = (max(each, key=lambda name: each[name]) for each in (scores, reference[file]))
        difference = max(abs(scores[name] - reference[file][name]) for name in LABELS)
        rows.append((best == Path(file).parent.name, label is None, best == expected, difference))
    return rows


def summary(rows: list[tuple[bool, bool, bool, float]]) -> dict[str, float]:
    """Shares over all queries."""
    correct, unknown, agreed, difference = np.array(rows).T
    return {
        "share_right": round(float(correct.mean()), 3),
        "interval_95": round(float(1.96 * correct.std() / len(correct) ** 0.5), 3),
        "unknown": round(float(unknown.mean()), 3),
        "same_best_class_as_pytorch": round(float(agreed.mean()), 4),
        "largest_difference_of_a_score": round(float(difference.max()), 6),
        "median_difference_of_a_score": round(float(np.median(difference)), 6),
    }


def main() -> None:
    """Measure over several draws, write the result."""
    shipped = open_bundle()
    manifest = shipped.manifest
    backbone = load_backbone(sys.argv[1], manifest.backbone.layers)
    network = ProtoNet(backbone, identity_head(backbone.width)).eval()
    rows: dict[str, list[tuple[bool, bool, bool, float]]] = {"shipped int8": [], "fp32": []}
    with tempfile.TemporaryDirectory() as name:
        exact = Path(name) / "fp32"
        settings = ExportSettings("fp32", "fp32", "", calibration=manifest.calibration)
        export_bundle(Source(network, "whisper", manifest.licence, ""), exact, settings, lambda _: None)
        for seed in range(DRAWS):
            folder = Path(name) / str(seed)
            draw(Path(sys.argv[2]), np.random.default_rng(seed), folder)
            reference = by_pytorch(network, folder, manifest.calibration.temperature)
            for kind, bundle in (("shipped int8", shipped.folder), ("fp32", exact)):
                rows[kind] += compare(by_command_line(folder, bundle), reference)
    write_result(
        "real_clips",
        {
            "command": "python -m benchmarks.accuracy.real_clips BACKBONE RAVDESS",
            "bundle": manifest.name,
            "queries": DRAWS * K_SHOT * len(LABELS),
            "chance": 1 / len(LABELS),
            **{kind: summary(each) for kind, each in rows.items()},
        },
    )


if __name__ == "__main__":
    main()
