"""Choose layers, temperature and threshold of the frozen encoder, only on validation speakers.

    python -m benchmarks.research.choose_default BACKBONE CORPORA

BACKBONE is a folder of Whisper base in the hub's layout, CORPORA one with ravdess, emodb and nemo. Test speakers and
other corpora are not used. Writes `results/choose_default.json`, which `metaser export --calibration` reads.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from benchmarks.machine import RESEARCH, write_result
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.scoring.classifier import Classifier
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, SpeakerSplit, Split, split_of
from metaser.toolkit.model.backbone import load_backbone

CORPORA = ("ravdess", "emodb", "nemo")
SPLITS: tuple[SpeakerSplit, ...] = ("disjoint", "same")
EPISODES = 200
SEED = 0
SCALE = 10.0  # of the untuned head
WRONGLY_REFUSED = 0.05
"""Share of correct predictions that the threshold may turn into `unknown`."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """All queries of some episodes: cosines [Q, N] by class, and the index of the correct class [Q]."""

    cosines: Floats
    targets: npt.NDArray[np.int64]
    accuracy_by_episode: Floats

    def accuracy(self) -> dict[str, float]:
        """Mean over episodes and half of its 95 % interval over episodes, in per cent."""
        each = 100 * self.accuracy_by_episode
        return {"mean": round(float(each.mean()), 1), "interval": round(float(1.96 * each.std() / len(each) ** 0.5), 1)}


def utterances_of(corpora: Path, name: str, part: Split = "validation") -> list[Utterance]:
    """The clips of a corpus's validation speakers, or of its other speakers."""
    return [clip for clip in read_corpus(corpora / name).utterances if split_of(clip) == part]


def embed(backbone_folder: str, layers: int, clips: list[Utterance]) -> npt.NDArray[np.float32]:
    """[M, D], the mean frame of the first `layers` layers for each clip."""
    backbone = load_backbone(backbone_folder, layers)
    rows = []
    with torch.inference_mode():
        for clip in clips:
            waveform = torch.from_numpy(load_speech(clip.path))[None]
            frames, _ = backbone(waveform, torch.tensor([waveform.shape[1]]))  # [1, N, D]
            rows.append(frames[0].mean(0).numpy())
    return np.stack(rows)


def score(embeddings: npt.NDArray[np.float32], clips: list[Utterance], split: SpeakerSplit) -> Scored:
    """4-way 5-shot episodes of one corpus."""
    sampler = EpisodeSampler(clips, EpisodeSettings(speaker_split=split), seed=SEED)
    cosines, targets, accuracies = [], [], []
    for episode in sampler.episodes(EPISODES):
        classifier = Classifier.fit(embeddings[episode.support.ravel()], episode.support_targets)
        cosines.append(classifier.cosines(embeddings[episode.query_indices]))
        targets.append(episode.query_targets)
        accuracies.append(np.mean(cosines[-1].argmax(axis=1) == episode.query_targets))
    return Scored(np.concatenate(cosines), np.concatenate(targets), np.array(accuracies))


def protocol() -> str:
    """Description of the results."""
    return (
        f"4-way 5-shot, {EPISODES} episodes per corpus and split, seed {SEED}, validation speakers, "
        "per cent and its 95 % interval over episodes"
    )


def calibrate(scored: list[Scored], scale: float = SCALE) -> dict[str, Any]:
    """The temperature of lowest log-loss, and the threshold that rejects few correct predictions."""
    cosines = np.concatenate([part.cosines for part in scored])
    targets = np.concatenate([part.targets for part in scored])

    def log_loss(log_temperature: float) -> float:
        rows = log_softmax(scale * cosines / np.exp(log_temperature), axis=1)
        return float(-rows[np.arange(len(targets)), targets].mean())

    found = minimize_scalar(log_loss, bounds=(np.log(1e-4), np.log(10.0)), method="bounded")
    temperature = float(np.exp(found.x))
    rows = softmax(scale * cosines / temperature, axis=1)
    confidence, correct = rows.max(axis=1), rows.argmax(axis=1) == targets
    threshold = float(np.quantile(confidence[correct], WRONGLY_REFUSED))
    return {
        "temperature": round(temperature, 5),
        "threshold": round(threshold, 3),
        "margin": 0.0,
        "log_loss": round(float(found.fun), 3),
        "log_loss_of_guessing": round(float(np.log(cosines.shape[1])), 3),
        "mean_confidence": round(float(confidence.mean()), 3),
        "accuracy": round(float(correct.mean()), 3),
        "refused_of_right": round(float((confidence[correct] < threshold).mean()), 3),
        "refused_of_wrong": round(float((confidence[~correct] < threshold).mean()), 3),
    }


def main() -> None:
    """Measure every number of layers, choose the best mean, calibrate it, write the result."""
    backbone, corpora = sys.argv[1], Path(sys.argv[2])
    clips = {name: utterances_of(corpora, name) for name in CORPORA}
    depth = load_backbone(backbone).layers
    table: dict[int, dict[str, Any]] = {}
    scored: dict[int, list[Scored]] = {}
    for layers in range(1, depth + 1):
        scored[layers], table[layers] = [], {}
        for name in CORPORA:
            embeddings = embed(backbone, layers, clips[name])
            for split in SPLITS:
                part = score(embeddings, clips[name], split)
                scored[layers].append(part)
                table[layers][f"{name} {split}"] = part.accuracy()
        means = [entry["mean"] for entry in table[layers].values()]
        table[layers]["mean"] = round(float(np.mean(means)), 1)
        print(layers, table[layers], flush=True)
    best = max(table, key=lambda layers: table[layers]["mean"])
    fitted = calibrate(scored[best])
    calibration = {name: fitted.pop(name) for name in ("temperature", "threshold", "margin")}
    write_result(
        "choose_default",
        {
            "command": "python -m benchmarks.research.choose_default BACKBONE CORPORA",
            "protocol": protocol(),
            "accuracy_by_layers": table,
            "layers": best,
            "calibration": calibration,
            "calibration_quality": fitted,
            "accuracy": {
                "protocol": protocol(),
                **{
                    f"{name} speakers": f"{entry['mean']} ± {entry['interval']}"
                    for name, entry in table[best].items()
                    if name != "mean"
                },
            },
        },
        RESEARCH,
    )


if __name__ == "__main__":
    main()
