"""Paired few-shot accuracy with the pauses of support and queries cut by two different speech detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.scores import score
from benchmarks.accuracy.specs import TRAINED_ON, Spec, sampler_of
from metaser.runtime import Engine, load_audio
from metaser.runtime.arrays import Embeddings, Waveform
from metaser.runtime.audio.trim import without_pauses
from metaser.runtime.audio.voice_activity import utterances_by
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.episodes.sampler import SpeakerSplit, split_of
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate

EPISODES = 600
SHOTS = {"5 shots": 5, "1 shot": 1}
SPLITS: tuple[SpeakerSplit, ...] = ("disjoint", "same")

Probabilities = Callable[[Waveform], Sequence[float]]


def measure_accuracy(corpora: Path, detectors: Mapping[str, Probabilities]) -> dict[str, Any]:
    """Evaluate the default bundle on validation speakers; the first detector is the reference."""
    engine = Engine.open(provider="cpu", threads=1)
    clips = [clip for name in TRAINED_ON for clip in read_corpus(corpora / name).utterances]
    clips = [clip for clip in clips if split_of(clip) == "validation"]
    rows = {name: _embed(engine, clips, detector) for name, detector in detectors.items()}
    scores = {}
    for title, shots in SHOTS.items():
        specs = [Spec(corpus, by, k_shot=shots, split="validation") for by in SPLITS for corpus in TRAINED_ON]
        arms = {name: {spec.name: [_evaluate(clips, own, spec)] for spec in specs} for name, own in rows.items()}
        scores[title] = score(arms, next(iter(detectors)))
    return {"bundle": engine.bundle.manifest.name, "episodes": EPISODES, "clips": len(clips), "scores": scores}


def _embed(engine: Engine, clips: Sequence[Utterance], detector: Probabilities) -> Embeddings:
    waveforms = (load_audio(clip.path) for clip in clips)
    return np.stack([engine.embed(without_pauses(each, utterances_by(detector(each)))) for each in waveforms])


def _evaluate(clips: Sequence[Utterance], embeddings: Embeddings, spec: Spec) -> Evaluation:
    rows, sampler = sampler_of(clips, spec)
    chosen = tuple(clips[row] for row in rows)
    digests = tuple(str(clip.path) for clip in chosen)
    return evaluate(Embedded(chosen, digests, embeddings[rows], ()), sampler, EPISODES)
