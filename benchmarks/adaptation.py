"""Tuning a head on the device: its time, and how the guard judges.

    python -m benchmarks.adaptation time
    python -m benchmarks.adaptation guard CORPORA [EPISODES] [test]

`time` tunes every kind of head on 20 clips of 3 s beside PyTorch. `guard` takes the shipped bundle and CORPORA with
ravdess, emodb and nemo: 4-way 5-shot, support and queries by different people and by one, and for each rate the
accuracy before and after tuning beside the guard's gain; on validation speakers, where the margin was chosen, unless
`test` opens the test speakers. Writes `results/adaptation_time.json`, or `adaptation_guard_NAME.json` of the bundle.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.choose_default import utterances_of
from benchmarks.machine import best_median_s, matrix_product_s, write_result
from metaser.cli.paths import given_by_environment
from metaser.export.adaptation import adapt_graph
from metaser.runtime import Engine, load_audio
from metaser.runtime.adaptation import Adapter
from metaser.runtime.arrays import HeadParameters
from metaser.runtime.decision import prototype, unit
from metaser.runtime.head_tuning import AdaptationSettings, HeadTuner, SupportFrames
from metaser.runtime.profile_adaptation import adapter_of
from metaser.runtime.speech import load_speech
from metaser.toolkit.episodes import EpisodeSampler, EpisodeSettings, SpeakerSplit, Split
from metaser.toolkit.intervals import episode_interval, interval_over_speakers
from metaser.toolkit.network import HEADS, Head, identity_head, make_head
from metaser.toolkit.tuning import SupportFrames as TorchFrames
from metaser.toolkit.tuning import TuningSettings, tune_head

CORPORA = ("ravdess", "emodb", "nemo")
SPLITS: tuple[SpeakerSplit, ...] = ("disjoint", "same")
EPISODES = 200
RATES = (3e-4,)
MARGINS = (-np.inf, -0.1, 0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, np.inf)
STEPS = AdaptationSettings().steps
CLIPS, FRAMES, WIDTH, SIZE = 20, 150, 512, 256


@dataclass(frozen=True)
class Case:
    """One tuning of one episode."""

    corpus: str
    speakers: str
    rate: float
    before: float
    """Accuracy of the queries, in per cent."""
    after: float
    guard_gain: float
    more_right: dict[str, tuple[int, int]]
    """By speaker: the queries, and how many more of them are right after tuning."""


def time_heads() -> dict[str, Any]:
    """Seconds of a whole tuning by each kind of head, on the device's path and in PyTorch."""
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((CLIPS, FRAMES, WIDTH)).astype(np.float32)
    support = SupportFrames(frames, np.full(CLIPS, FRAMES), np.repeat(np.arange(4), CLIPS // 4))
    heads: dict[str, Head] = {f"{kind} {WIDTH} to {SIZE}": make_head(kind, WIDTH, SIZE) for kind in HEADS}
    heads[f"the shipped one, {WIDTH} to {WIDTH}"] = identity_head(WIDTH)
    found = {}
    for name, head in heads.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "adapt.onnx"
            path.write_bytes(adapt_graph(head).SerializeToString())
            tuner = HeadTuner(path)
            size_bytes = path.stat().st_size
        parameters = {key: value.detach().numpy() for key, value in head.named_parameters()}
        by_torch = TorchFrames(torch.from_numpy(frames), support.lengths, support.targets)
        settings = TuningSettings("split", STEPS, AdaptationSettings().learning_rate)
        found[name] = {
            "device_s": round(best_median_s(partial(tuner.tune, parameters, support, AdaptationSettings()), 1, 3), 3),
            "pytorch_s": round(best_median_s(partial(tune_head, head, by_torch, settings, 0), 1, 3), 3),
            "graph_kb": round(size_bytes / 1000),
        }
    return found


def guarded_enrolment() -> dict[str, float]:
    """Seconds of tuning the shipped demonstration's 20 clips, cut to 3 s, with frames and guard."""
    engine = Engine.open(provider="cpu")
    folder = engine.bundle.folder.parents[1] / "demo" / "support"
    arrays = {
        label.name: [np.resize(load_audio(clip), 48_000) for clip in sorted(label.iterdir())]
        for label in sorted(folder.iterdir())
    }
    profile = engine.enroll(arrays)
    return {
        "with_guard_s": round(best_median_s(lambda: engine.adapt(profile, arrays), 1, 3), 3),
        "enroll_s": round(best_median_s(lambda: engine.enroll(arrays), 1, 3), 3),
    }


def cases_of(engine: Engine, corpora: Path, episodes: int, part: Split) -> Iterator[Case]:
    """Every rate on every episode."""
    for corpus in CORPORA:
        clips = utterances_of(corpora, corpus, part)
        frames = [
            engine.model.frames(load_speech(clip.path)[: engine.model.max_samples]).astype(np.float16) for clip in clips
        ]
        for speakers in SPLITS:
            sampler = EpisodeSampler(clips, EpisodeSettings(speaker_split=speakers), seed=0)
            for index, episode in enumerate(sampler.episodes(episodes)):
                targets = np.repeat(np.arange(len(episode.support)), episode.support.shape[1])
                support = SupportFrames.of([frames[row] for row in episode.support.ravel()], targets)
                queries = SupportFrames.of([frames[row] for row in episode.query_indices], episode.query_targets)
                for rate in RATES:
                    settings = AdaptationSettings(learning_rate=rate, seed=index)
                    adapter = adapter_of(engine.model, engine.bundle.manifest.calibration.temperature, settings)
                    before, after = (
                        right(adapter, head, support, queries) for head in (adapter.head, adapter.tune(support))
                    )
                    people = np.array([clips[row].speaker for row in episode.query_indices])
                    yield Case(
                        corpus,
                        speakers,
                        rate,
                        100 * float(before.mean()),
                        100 * float(after.mean()),
                        adapter.measure(support).gain,
                        {
                            person: (int(sum(people == person)), int((after * 1 - before)[people == person].sum()))
                            for person in sorted(set(people.tolist()))
                        },
                    )
            print(corpus, speakers, flush=True)


def right(
    adapter: Adapter, head: HeadParameters, support: SupportFrames, queries: SupportFrames
) -> npt.NDArray[np.bool_]:
    """[Q] whether each query is recognised."""
    embeddings = adapter.pool(head, support)
    classes = np.stack(
        [prototype(embeddings[support.targets == number]) for number in range(support.targets.max() + 1)]
    )
    answers = (unit(adapter.pool(head, queries)) @ unit(classes).T).argmax(1)
    found: npt.NDArray[np.bool_] = answers == queries.targets
    return found


def judge(cases: Sequence[Case], margin: float) -> dict[str, Any]:
    """What a margin keeps, and what that is worth."""
    change = np.array([case.after - case.before for case in cases])
    kept = np.array([case.guard_gain >= margin for case in cases])
    return {
        "kept": _share(kept),
        "harmful_refused": _share(~kept[change < 0]),
        "useful_refused": _share(~kept[change > 0]),
        "change": _change(cases, margin),
        "change_by_figure": {
            f"{corpus} {speakers}": _change(
                [case for case in cases if (case.corpus, case.speakers) == (corpus, speakers)], margin
            )
            for corpus in CORPORA
            for speakers in SPLITS
        },
    }


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 3) if len(flags) else None


def _change(cases: Sequence[Case], margin: float) -> str:
    """Points of accuracy with half of their 95 % interval over episodes, in brackets that over speakers, if several."""
    kept = [case if case.guard_gain >= margin else None for case in cases]
    over_episodes = episode_interval([case.after - case.before if case else 0.0 for case in kept])
    queries = [
        (person, 100 * more / count if keep else 0.0)
        for case, keep in zip(cases, kept, strict=True)
        for person, (count, more) in case.more_right.items()
        for _ in range(count)
    ]
    people, values = zip(*queries, strict=True)
    told = f"{over_episodes.mean:+.2f} ± {over_episodes.high - over_episodes.mean:.2f}"
    over_people = interval_over_speakers(values, people)
    return f"{told} [{over_people.low:+.2f}, {over_people.high:+.2f}]" if over_people else told


def main() -> None:
    """Measure what was asked for and write it."""
    if sys.argv[1:] == ["time"]:
        figures = {
            "command": "python -m benchmarks.adaptation time",
            "what": f"{STEPS} steps of `split` on {CLIPS} clips of {FRAMES} frames; best of three",
            "matrix_product_1024_ms": round(1000 * matrix_product_s(), 1),
            "tuning": time_heads(),
            "shipped bundle, 4 x 5 clips of 3 s": guarded_enrolment(),
        }
        write_result("adaptation_time", figures)
        return
    part: Split = "test" if sys.argv[-1] == "test" else "validation"
    episodes = next((int(word) for word in sys.argv[3:] if word.isdecimal()), EPISODES)
    engine = Engine.open(given_by_environment("METASER_BUNDLE"), provider="cpu", threads=1)
    name = engine.bundle.manifest.name
    cases = list(cases_of(engine, Path(sys.argv[2]), episodes, part))
    table = {
        f"rate {rate:g}": {
            f"margin {margin:g}": judge([case for case in cases if case.rate == rate], margin) for margin in MARGINS
        }
        for rate in RATES
    }
    write_result(
        f"adaptation_guard_{name}" if part == "validation" else f"adaptation_guard_{name}_test",
        {
            "command": f"python -m benchmarks.adaptation guard CORPORA {episodes}"
            + (" test" if part == "test" else ""),
            "protocol": f"bundle {name}, 4-way 5-shot, {episodes} episodes a corpus and split, "
            f"seed 0, {part} "
            f"speakers; {STEPS} steps; change in points of accuracy, its 95 % intervals over episodes and [speakers]; "
            "shares of all, of the tunings that lowered and of those that raised the accuracy of the queries",
            "judged": table,
        },
    )


if __name__ == "__main__":
    main()
