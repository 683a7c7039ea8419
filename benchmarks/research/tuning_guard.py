"""Evaluate the tuning guard.

    [METASER_BUNDLE=NAME] python -m benchmarks.research.tuning_guard CORPORA [EPISODES] [test]

CORPORA holds ravdess, emodb and nemo: 4-way 5-shot, support and queries by different people and by one person. For each
rate it measures the accuracy before and after tuning and the guard's gain, on validation speakers, on which the margin
was chosen, or with `test` on the test speakers. Writes `results/tuning_guard_NAME.json` of the bundle.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import RESEARCH, write_result
from benchmarks.research.choose_default import utterances_of
from metaser.cli.paths import given_by_environment
from metaser.runtime import Engine
from metaser.runtime.arrays import HeadParameters
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.enrolment.tune import tuner_of
from metaser.runtime.scoring.decision import prototype, unit
from metaser.runtime.tuning.guard import GuardedTuner
from metaser.runtime.tuning.head import HeadTuningSettings, SupportFrames
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, SpeakerSplit, Split
from metaser.toolkit.evaluation.intervals import episode_interval, interval_over_speakers

CORPORA = ("ravdess", "emodb", "nemo")
SPLITS: tuple[SpeakerSplit, ...] = ("disjoint", "same")
EPISODES = 200
RATES = (3e-4,)
MARGINS = (-np.inf, -0.1, 0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, np.inf)
STEPS = HeadTuningSettings().steps
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
    """By speaker: number of queries, and the gain in correct ones after tuning."""


def cases_of(engine: Engine, corpora: Path, episodes: int, part: Split) -> Iterator[Case]:
    """Run every rate on every episode."""
    for corpus in CORPORA:
        clips = utterances_of(corpora, corpus, part)
        frames = [
            engine.model.frames(load_speech(clip.path)[: engine.model.max_samples]).astype(np.float16) for clip in clips
        ]
        for speakers in SPLITS:
            sampler = EpisodeSampler(clips, EpisodeSettings(speaker_split=speakers), seed=0)
            for index, episode in enumerate(sampler.episodes(episodes)):
                targets = episode.support_targets
                support = SupportFrames.of([frames[row] for row in episode.support.ravel()], targets)
                queries = SupportFrames.of([frames[row] for row in episode.query_indices], episode.query_targets)
                for rate in RATES:
                    settings = HeadTuningSettings(learning_rate=rate, seed=index)
                    tuner = tuner_of(engine.model, engine.bundle.manifest.calibration.temperature, settings)
                    before, after = (
                        correct(tuner, head, support, queries) for head in (tuner.head, tuner.tune(support))
                    )
                    people = np.array([clips[row].speaker for row in episode.query_indices])
                    yield Case(
                        corpus,
                        speakers,
                        rate,
                        100 * float(before.mean()),
                        100 * float(after.mean()),
                        tuner.measure(support).gain,
                        {
                            person: (int(sum(people == person)), int((after * 1 - before)[people == person].sum()))
                            for person in sorted(set(people.tolist()))
                        },
                    )
            print(corpus, speakers, flush=True)


def correct(
    tuner: GuardedTuner, head: HeadParameters, support: SupportFrames, queries: SupportFrames
) -> npt.NDArray[np.bool_]:
    """[Q] whether each query is correct."""
    embeddings = tuner.pool(head, support)
    classes = np.stack(
        [prototype(embeddings[support.targets == number]) for number in range(support.targets.max() + 1)]
    )
    answers = (unit(tuner.pool(head, queries)) @ unit(classes).T).argmax(1)
    return answers == queries.targets


def judge(cases: Sequence[Case], margin: float) -> dict[str, Any]:
    """Tunings that a margin accepts, and their gain."""
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
    text = f"{over_episodes.mean:+.2f} ± {over_episodes.high - over_episodes.mean:.2f}"
    over_people = interval_over_speakers(values, people)
    return f"{text} [{over_people.low:+.2f}, {over_people.high:+.2f}]" if over_people else text


def main() -> None:
    """Run the named measurement and write it."""
    part: Split = "test" if sys.argv[-1] == "test" else "validation"
    episodes = next((int(word) for word in sys.argv[2:] if word.isdecimal()), EPISODES)
    engine = Engine.open(given_by_environment("METASER_BUNDLE"), provider="cpu", threads=1)
    name = engine.bundle.manifest.name
    cases = list(cases_of(engine, Path(sys.argv[1]), episodes, part))
    table = {
        f"rate {rate:g}": {
            f"margin {margin:g}": judge([case for case in cases if case.rate == rate], margin) for margin in MARGINS
        }
        for rate in RATES
    }
    write_result(
        f"tuning_guard_{name}" if part == "validation" else f"tuning_guard_{name}_test",
        {
            "command": f"python -m benchmarks.research.tuning_guard CORPORA {episodes}"
            + (" test" if part == "test" else ""),
            "protocol": f"bundle {name}, 4-way 5-shot, {episodes} episodes per corpus and split, "
            f"seed 0, {part} "
            f"speakers; {STEPS} steps; change in points of accuracy, its 95 % intervals over episodes and [speakers]; "
            "shares of all, of the tunings that lowered and of those that raised the accuracy of the queries",
            "judged": table,
        },
        RESEARCH,
    )


if __name__ == "__main__":
    main()
