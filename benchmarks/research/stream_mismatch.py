"""Cost of the mismatch between enrolled whole clips and streamed sections of speech: validation speakers, paired.

    python -m benchmarks.research.stream_mismatch CORPORA [--only NAME] [--episodes N]

Support and queries are each embedded whole, trimmed to their speech, or, queries only, as in a stream: with one second
of silence on both sides, in windows, labelled by the stream's own rules. All methods are measured on the same 4-way
5-shot episodes of the shipped bundle. Test speakers are not used. Writes `results/stream_mismatch.json`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.machine import RESEARCH, read_result, write_result
from benchmarks.research.choose_default import CORPORA, utterances_of
from metaser.runtime import Calibration, Engine, Stream, StreamSettings, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Waveform
from metaser.runtime.audio.trim import speech_in
from metaser.runtime.scoring.decision import cosines, prototype, softmax
from metaser.runtime.stream.segment import Scores, Segment, SegmentRules, Window
from metaser.toolkit.data.utterances import Utterance
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, SpeakerSplit
from metaser.toolkit.evaluation.intervals import Interval, episode_interval, interval_over_speakers, paired_interval

SPLITS: tuple[SpeakerSplit, ...] = ("same", "disjoint")
EPISODES = 200
SEED = 0
SILENCE_S = 1.0
SILENCE_LEVEL = 1e-4
DWELL_WINDOWS = round(StreamSettings.dwell_s / StreamSettings.hop_s)
WAYS = {
    "classify, both whole": ("whole", "whole"),
    "classify, support trimmed": ("trimmed", "whole"),
    "classify, query trimmed": ("whole", "trimmed"),
    "classify, both trimmed": ("trimmed", "trimmed"),
    "stream, support whole": ("whole", "stream"),
    "stream, support trimmed": ("trimmed", "stream"),
}
PAIRS = (
    ("classify, both trimmed", "classify, both whole"),
    ("classify, support trimmed", "classify, both whole"),
    ("stream, support trimmed", "stream, support whole"),
)


@dataclass(frozen=True)
class HeardWindow:
    """A window of a stream before it is scored."""

    embedding: Embedding
    start: int
    news_start: int


@dataclass(frozen=True)
class Clip:
    """Embeddings and windows of a clip."""

    whole: Embedding
    trimmed: Embedding
    share_of_speech: float
    stream: tuple[tuple[int, tuple[HeardWindow, ...], int], ...]
    """Start, windows and end of each utterance."""


class KeptSegment(Segment):
    """A segment of a stream that stores its windows and never changes its label."""

    def __init__(self, start: int, rules: SegmentRules) -> None:
        super().__init__(start, rules)
        self.windows: list[Window] = []

    def hear(self, window: Window) -> None:
        """Store the window."""
        self.windows.append(window)
        super().hear(window)


class KeepingStream(Stream):
    """A stream that stores the windows of all its utterances."""

    def __init__(self, engine: Engine) -> None:
        self.embeddings: list[Embedding] = []
        self.segments: list[KeptSegment] = []

        def embed(window: Waveform) -> Scores:
            self.embeddings.append(engine.embed(window))
            return np.array([1.0, 0.0])

        super().__init__(embed, ("", "-"), Calibration(), SAMPLE_RATE_HZ, StreamSettings())

    def _new_segment(self, start: int) -> Segment:
        self.segments.append(KeptSegment(start, self._rules))
        return self.segments[-1]


def hear(engine: Engine, waveform: Waveform, rng: np.random.Generator) -> Clip:
    """Embed a clip with all three methods."""
    silence = [
        (SILENCE_LEVEL * rng.standard_normal(round(SILENCE_S * SAMPLE_RATE_HZ))).astype(np.float32) for _ in range(2)
    ]
    stream = KeepingStream(engine)
    events = stream.push(np.concatenate([silence[0], waveform, silence[1]])) + stream.finish()
    ends = [round((event.end_s or 0) * SAMPLE_RATE_HZ) for event in events if event.event == "leave"]
    embeddings = iter(stream.embeddings)
    utterances = []
    for segment, end in zip((each for each in stream.segments if each.windows), ends, strict=True):
        windows = tuple(HeardWindow(next(embeddings), each.start, each.news_start) for each in segment.windows)
        utterances.append((segment.start, windows, end))
    speech = speech_in(waveform)
    return Clip(engine.embed(waveform), engine.embed(speech), len(speech) / len(waveform), tuple(utterances))


def label_by_stream(clip: Clip, prototypes: npt.NDArray[np.float32], sharpness: float) -> int:
    """The label with the longest duration, by the stream's rules without a threshold; -1: none."""
    names = tuple(map(str, range(len(prototypes))))
    heard_for: dict[int, int] = defaultdict(int)
    for start, windows, end in clip.stream:
        segment = Segment(start, SegmentRules(names, Calibration(), DWELL_WINDOWS))
        for window in windows:
            scores = softmax(sharpness * cosines(window.embedding[None], prototypes))[0]
            if successor := segment.hear(Window(scores, window.start, window.news_start)):
                heard_for[int(str(segment.decision.label))] += successor.start - segment.start
                segment = successor
        heard_for[int(str(segment.decision.label))] += end - segment.start
    return max(heard_for, key=lambda index: heard_for[index], default=-1)


def right_by_way(
    clips: list[Clip], utterances: list[Utterance], split: SpeakerSplit, sharpness: float, episodes: int
) -> tuple[dict[str, list[npt.NDArray[np.bool_]]], list[str]]:
    """For each method and episode, which queries are correct; and the speaker of each query."""
    correct: dict[str, list[npt.NDArray[np.bool_]]] = {way: [] for way in WAYS}
    speakers: list[str] = []
    for episode in EpisodeSampler(utterances, EpisodeSettings(speaker_split=split), seed=SEED).episodes(episodes):
        queries = [clips[row] for row in episode.query_indices]
        speakers += [utterances[row].speaker for row in episode.query_indices]
        for way, (enrolled, asked) in WAYS.items():
            prototypes = np.stack(
                [prototype(np.stack([getattr(clips[row], enrolled) for row in rows])) for rows in episode.support]
            )
            if asked == "stream":
                answers = np.array([label_by_stream(query, prototypes, sharpness) for query in queries])
            else:
                answers = cosines(np.stack([getattr(query, asked) for query in queries]), prototypes).argmax(axis=1)
            correct[way].append(answers == episode.query_targets)
    return correct, speakers


def stated(over_episodes: Interval, over_people: Interval | None) -> dict[str, list[float] | float]:
    """Per cent: mean, interval over episodes, interval over speakers if there are several."""
    bounds = {"over_episodes": over_episodes, "over_speakers": over_people}
    return {
        "mean": round(100 * over_episodes.mean, 1),
        **{name: [round(100 * each.low, 1), round(100 * each.high, 1)] for name, each in bounds.items() if each},
    }


def compare(correct: dict[str, list[npt.NDArray[np.bool_]]], speakers: list[str]) -> dict[str, object]:
    """Accuracy of each method, and the relevant differences."""
    means = {way: [float(each.mean()) for each in rows] for way, rows in correct.items()}
    flat = {way: np.concatenate(rows).astype(float) for way, rows in correct.items()}
    figures: dict[str, object] = {
        way: stated(episode_interval(means[way]), interval_over_speakers(flat[way], speakers)) for way in correct
    }
    for better, worse in PAIRS:
        figures[f"{better} - {worse}"] = stated(
            paired_interval(means[better], means[worse]), interval_over_speakers(flat[better] - flat[worse], speakers)
        )
    return figures


def main() -> None:
    """Measure, write the result."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.research.stream_mismatch", description=__doc__.split("\n")[0]
    )
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--only", choices=CORPORA, metavar="NAME", help="one corpus; the others' results are kept")
    parser.add_argument("--episodes", type=int, default=EPISODES, metavar="N")
    arguments = parser.parse_args()
    engine = Engine.open(provider="cpu", threads=1)
    sharpness = engine.bundle.scale / engine.bundle.manifest.calibration.temperature
    rng = np.random.default_rng(SEED)
    measured: dict[str, object] = {}
    for name in [arguments.only] if arguments.only else CORPORA:
        utterances = utterances_of(arguments.corpora, name)
        clips = [hear(engine, load_audio(clip.path), rng) for clip in utterances]
        by_split: dict[str, object] = {
            split: compare(*right_by_way(clips, utterances, split, sharpness, arguments.episodes)) for split in SPLITS
        }
        measured[name] = {
            "clips": len(clips),
            "share_of_speech": round(float(np.mean([clip.share_of_speech for clip in clips])), 2),
            "episodes": arguments.episodes,
            **by_split,
        }
    kept = read_result("stream_mismatch").get("accuracy_percent", {}) if arguments.only else {}
    write_result(
        "stream_mismatch",
        {
            "command": "python -m benchmarks.research.stream_mismatch CORPORA",
            "bundle": engine.bundle.manifest.name,
            "accuracy_percent": kept | measured,
        },
        RESEARCH,
    )


if __name__ == "__main__":
    main()
