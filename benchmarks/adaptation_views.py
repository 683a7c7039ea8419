"""Whether augmented views of the support clips help tuning: `python -m benchmarks.adaptation_views CORPORA [EPISODES]`.

Each step takes of every clip it draws the clip itself or one of two augmented views, embedded once: a noisier one, and
one of another room. Paired with tuning on the clips alone, shipped bundle, 4-way 5-shot, validation speakers. Writes
`results/adaptation_views.json`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from benchmarks.adaptation import CORPORA, SPLITS, right
from benchmarks.choose_default import utterances_of
from benchmarks.machine import write_result
from metaser.runtime import Engine
from metaser.runtime.arrays import Frames, Waveform
from metaser.runtime.head_tuning import AdaptationSettings, SupportFrames
from metaser.runtime.profile_adaptation import adapter_of
from metaser.runtime.speech import load_speech
from metaser.toolkit.augment import add_noise, reverberate
from metaser.toolkit.episodes import EpisodeSampler, EpisodeSettings
from metaser.toolkit.intervals import paired_interval

EPISODES = 60
SNR_DB = (5.0, 20.0)
REVERBERATION_S = (0.2, 0.6)


class RandomViews:
    """[V, M, N, D] as [M, N, D]: whenever rows are taken, each is of a view drawn anew."""

    def __init__(self, views: npt.NDArray[np.float32], seed: int) -> None:
        self._views = views
        self._rng = np.random.default_rng(seed)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self._views[self._rng.integers(len(self._views), size=len(rows)), rows]


def views_of(engine: Engine, waveform: Waveform, rng: np.random.Generator) -> list[Frames]:
    """The frames of a clip and of its two views, all of one length."""
    waveforms = (
        waveform,
        add_noise(waveform, rng.uniform(*SNR_DB), rng),
        reverberate(waveform, rng.uniform(*REVERBERATION_S), rng),
    )
    return [engine.model.frames(np.clip(each, -1, 1).astype(np.float32)).astype(np.float16) for each in waveforms]


def main() -> None:
    """Measure and write."""
    corpora, episodes = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else EPISODES
    engine = Engine.open(provider="cpu", threads=1)
    rng = np.random.default_rng(0)
    found = {}
    for corpus in CORPORA:
        clips = utterances_of(corpora, corpus)
        framed = [views_of(engine, load_speech(clip.path)[: engine.model.max_samples], rng) for clip in clips]
        for speakers in SPLITS:
            changes: dict[str, list[float]] = {"none": [], "clips alone": [], "with views": []}
            sampler = EpisodeSampler(clips, EpisodeSettings(speaker_split=speakers), seed=0)
            for index, episode in enumerate(sampler.episodes(episodes)):
                rows = episode.support.ravel()
                targets = np.repeat(np.arange(len(episode.support)), episode.support.shape[1])
                support, *others = (SupportFrames.of([framed[row][view] for row in rows], targets) for view in range(3))
                views = RandomViews(np.stack([support.frames, *(each.frames for each in others)]), index)
                viewed = replace(support, frames=cast("npt.NDArray[np.float32]", views))
                queries = SupportFrames.of([framed[row][0] for row in episode.query_indices], episode.query_targets)
                settings = replace(AdaptationSettings.of_manifest(engine.bundle.manifest.tuning), seed=index)
                adapter = adapter_of(engine.model, engine.bundle.manifest.calibration.temperature, settings)
                heads = (adapter.head, adapter.tune(support), adapter.tune(viewed))
                for name, head in zip(changes, heads, strict=True):
                    changes[name].append(100 * float(right(adapter, head, support, queries).mean()))
            found[f"{corpus} {speakers}"] = {
                "accuracy": {name: round(float(np.mean(values)), 1) for name, values in changes.items()},
                "views minus clips alone": _told(changes["with views"], changes["clips alone"]),
                "clips alone minus none": _told(changes["clips alone"], changes["none"]),
            }
            print(corpus, speakers, found[f"{corpus} {speakers}"], flush=True)
    write_result(
        "adaptation_views",
        {
            "command": f"python -m benchmarks.adaptation_views CORPORA {episodes}",
            "protocol": f"bundle {engine.bundle.manifest.name}, 4-way 5-shot, {episodes} paired episodes a corpus and "
            "split, validation speakers; points of accuracy with the 95 % interval over episodes",
            "found": found,
        },
    )


def _told(values: list[float], others: list[float]) -> str:
    interval = paired_interval(values, others)
    return f"{interval.mean:+.2f} ± {interval.high - interval.mean:.2f}"


if __name__ == "__main__":
    main()
