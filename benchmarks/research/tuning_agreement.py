"""Compare the predictions of the device's tuning and PyTorch's: `python -m benchmarks.research.tuning_agreement BACKBONE CORPORA`.

BACKBONE, a folder of Whisper base in the hub's layout, becomes a checkpoint of two layers with the identity head, which
is exported to a bundle in fp32 and in int8. All three tune by `split` on the same 100 episodes of a corpus's validation speakers.
"""  # noqa: E501 # a command is one line

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESEARCH, write_result
from benchmarks.research.choose_default import utterances_of
from metaser.export.bundle import ExportSettings, export_bundle
from metaser.export.source import open_source
from metaser.runtime import open_bundle
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
from metaser.toolkit.evaluation.evaluate import Evaluation
from metaser.toolkit.evaluation.tuned_evaluation import evaluate_tuned, frame_clips, open_tunable
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.checkpoint import CheckpointMetadata, save_checkpoint
from metaser.toolkit.model.network import ProtoNet, identity_head

LAYERS = 2
EPISODES = 100
CORPORA = ("ravdess", "emodb")


def make_models(backbone: str, folder: Path) -> dict[str, Path]:
    """The checkpoint and its bundles."""
    encoder = load_backbone(backbone, LAYERS)
    network = ProtoNet(encoder, identity_head(encoder.width)).eval()
    temperature = open_bundle().manifest.calibration.temperature
    metadata = CheckpointMetadata("whisper-base-encoder", "MIT", calibration={"temperature": temperature})
    save_checkpoint(folder / "checkpoint", network, metadata)
    source = open_source(str(folder / "checkpoint"), None, None)
    for precision in ("fp32", "int8"):
        export_bundle(source, folder / precision, ExportSettings(precision, precision, "-"), print)
    return {name: folder / name for name in ("checkpoint", "fp32", "int8")}


def evaluated(model: Path, corpora: Path, corpus: str) -> Evaluation:
    """All episodes of one corpus."""
    tunable = open_tunable(str(model), "split")
    framed = frame_clips(tunable, utterances_of(corpora, corpus))
    return evaluate_tuned(tunable, framed, EpisodeSampler(framed.utterances, EpisodeSettings(), seed=0), EPISODES)


def compared(models: dict[str, Path], corpora: Path, corpus: str) -> dict[str, Any]:
    """Accuracy of each, and the share of queries with the same prediction as the checkpoint."""
    found = {name: evaluated(model, corpora, corpus) for name, model in models.items()}
    answers = {name: np.concatenate(one.answers) for name, one in found.items()}
    return {
        "queries": len(answers["checkpoint"]),
        "accuracy": {name: round(100 * one.accuracy.mean, 2) for name, one in found.items()},
        "agreement_with_pytorch": {
            name: round(100 * float(np.mean(answers[name] == answers["checkpoint"])), 3) for name in ("fp32", "int8")
        },
    }


def main() -> None:
    """Measure and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        models = make_models(sys.argv[1], Path(folder))
        figures = {corpus: compared(models, Path(sys.argv[2]), corpus) for corpus in CORPORA}
    write_result(
        "tuning_agreement",
        {
            "command": "python -m benchmarks.research.tuning_agreement BACKBONE CORPORA",
            "protocol": f"4-way 5-shot, {EPISODES} episodes, disjoint validation speakers, split tuning, per cent",
            **figures,
        },
        RESEARCH,
    )


if __name__ == "__main__":
    main()
