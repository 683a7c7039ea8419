"""Accuracy of a tuned profile's expected rates: from cross-fitted scores, and from scores of the tuning clips.

The prior is that of the bundle's own head. Episodes whose tuning the guard rejects are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.research.enrolment_calibration import WANTED, errors_of, mean_of, rates_of
from benchmarks.research.enrolment_episodes import CORPORA, SEED, SPEAKER_SPLITS, Draw
from metaser.runtime import Engine
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.enrolment.tune import tuner_of
from metaser.runtime.scoring.calibration import CalibrationPrior
from metaser.runtime.scoring.classifier import Classifier
from metaser.runtime.scoring.leave_one_out import cross_fit, fitted_by_fold
from metaser.runtime.tuning.head import SupportFrames
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.data.utterances import Utterance
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, SpeakerSplit, split_of

EPISODES = 40
FOREIGN = 60
"""Clips of classes that were not enrolled, drawn for each episode."""


def measure_tuned(corpora: Path, prior: CalibrationPrior) -> dict[str, Any]:
    """Both methods on validation speakers."""
    engine = Engine.open(provider="cpu")
    found: dict[str, Any] = {}
    for name in CORPORA:
        clips = [clip for clip in read_corpus(corpora / name).utterances if split_of(clip) == "validation"]
        frames = [
            engine.model.frames(load_speech(clip.path)[: engine.model.max_samples]).astype(np.float16) for clip in clips
        ]
        for split in SPEAKER_SPLITS:
            sets = list(_draws(engine, clips, frames, split))
            seen = [replace(draw, fitted=own) for draw, own in sets]
            fitted = [draw for draw, _ in sets]
            found[f"{name} {split}"] = {
                **{f"wanted {wanted}": rates_of(fitted, wanted, prior, None) for wanted in WANTED},
                "wanted 0.05, from clips it was tuned on": rates_of(seen, 0.05, prior, None),
                "error of confidence": errors_of(fitted, prior),
                "error of confidence, from clips it was tuned on": errors_of(seen, prior),
            }
            print(name, split, len(sets), "of", EPISODES, "tunings kept", flush=True)
    for split in SPEAKER_SPLITS:
        found[f"mean {split}"] = mean_of([figures for key, figures in found.items() if key.endswith(split)])
    return found


def _draws(
    engine: Engine, clips: list[Utterance], frames: list[Any], split: SpeakerSplit
) -> Iterator[tuple[Draw, Any]]:
    """Support sets with a tuned head, and the estimates from leaving out clips that it was tuned on."""
    labels, speakers = (np.array([getattr(clip, name) for clip in clips]) for name in ("label", "speaker"))
    rng = np.random.default_rng(SEED)
    for episode in EpisodeSampler(clips, EpisodeSettings(speaker_split=split), seed=SEED).episodes(EPISODES):
        targets = episode.support_targets
        support = SupportFrames.of([frames[row] for row in episode.support.ravel()], targets)
        tuner = tuner_of(engine.model, engine.bundle.manifest.calibration.temperature)
        outcome = tuner.tune_if_useful(support, force=False)
        if outcome.head is None:
            continue
        embeddings = tuner.pool(outcome.head, support)
        classifier = Classifier.fit(embeddings, targets)
        heard = np.isin(speakers, speakers[episode.query_indices]) & ~np.isin(labels, episode.classes)
        foreign = rng.permutation(np.flatnonzero(heard))[:FOREIGN]
        queries, others = (
            classifier.cosines(
                tuner.pool(outcome.head, SupportFrames.of([frames[row] for row in rows], np.zeros(len(rows), int)))
            )
            for rows in (episode.query_indices, foreign)
        )
        draw = Draw(
            support=episode.support,
            classifier=classifier,
            fitted=fitted_by_fold(outcome.cosines, targets, len(episode.classes)),
            untuned=cross_fit(tuner.pool(tuner.head, support), targets),
            queries=queries,
            query_clips=episode.query_indices,
            targets=episode.query_targets,
            foreign=others,
            scale=float(outcome.head["scale"]),
        )
        yield draw, cross_fit(embeddings, targets)
