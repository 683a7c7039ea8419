"""Centring what `metaser stream` hears on its speaker: `python -m benchmarks.research.unseen.window_centring CORPORA`.

`stream_centring` moves whole clips and compares them by centred cosines. Here the estimators move the windows of real
streams, and the classifier, the calibrated probabilities and the rules for segments are those of the product. A stream
lasts an hour: clips of one validation speaker with pauses, of which 25, 70, 90 or 100 % are neutral, in turns of three
on average. The profile holds four classes of five clips of other speakers, or of this one.

mean               the running mean of what was heard, minus the support set's, shrunk as by a minute of speech
evenness           the same, times how evenly the predicted classes are spread (their perplexity), to a power
utterances         the same, of whole utterances instead of windows

A clip has the label of the segment that covers most of it. Points of unweighted accuracy over clips, minus that without
centring, paired by stream; six corpora, fixed seeds. Writes `window_centring.json`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import RESEARCH, machine, write_result
from benchmarks.research.stream_mismatch import HeardWindow, KeepingStream
from benchmarks.research.unseen.recipe import SIX
from benchmarks.research.unseen.stream_centring import CLASSES, NEUTRAL, SHARES, SHOTS, TURN
from metaser.runtime import Engine, Profile, StreamSettings
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.load import load_audio
from metaser.runtime.errors import InputWarning
from metaser.runtime.scoring.classifier import Classifier
from metaser.runtime.scoring.decision import Calibration, score, softmax, unit
from metaser.runtime.stream.segment import Segment, SegmentRules, Window
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.episodes.protocol import split_of

LENGTH_S, PAUSE_S = 3600, 0.8
NOISE = 1e-4
"""Amplitude of the noise in pauses."""

SEEDS = 2
PRIOR_S = 60.0
"""Seconds of speech that shrink a mean."""

SHARPNESS = 40.0
"""The factor on centred cosines for the probabilities of the predicted classes."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """One stream."""

    corpus: str
    share: float
    """Of clips that are neutral."""

    seed: int
    enrolled: bool
    """Whether the profile's clips are this speaker's."""


@dataclass(frozen=True)
class Span:
    """A clip, or a segment, in seconds from the start of the stream."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True, eq=False)
class Material:
    """A profile's clips by class, and a stream."""

    support: dict[str, list[Waveform]]
    audio: Waveform
    clips: Sequence[Span]


@dataclass(frozen=True, eq=False)
class HeardUtterance:
    """An utterance of a stream, in samples."""

    start: int
    windows: Sequence[HeardWindow]
    end: int

    @property
    def new_s(self) -> list[float]:
        """Seconds of new speech in each window."""
        starts = [window.news_start for window in self.windows]
        return [
            max(0, after - start) / SAMPLE_RATE_HZ for start, after in zip(starts, [*starts[1:], self.end], strict=True)
        ]


def make_material(corpora: Path, job: Job) -> Material | None:
    """The clips of a profile and of a stream; None if the corpus has too few for it."""
    rng = np.random.default_rng([job.seed, round(100 * job.share), job.enrolled])
    clips = [clip for clip in read_corpus(corpora / job.corpus).utterances if split_of(clip) == "validation"]
    speakers = sorted({clip.speaker for clip in clips})
    speaker = speakers[job.seed % len(speakers)]

    def of(label: str, *, own: bool) -> list[Utterance]:
        return [clip for clip in clips if clip.label == label and (clip.speaker == speaker) is own]

    needed = SHOTS + 1 if job.enrolled else 1
    usable = [
        label
        for label in sorted({clip.label for clip in clips})
        if len(of(label, own=True)) >= needed and len(of(label, own=job.enrolled)) >= SHOTS
    ]
    if NEUTRAL not in usable or len(usable) < CLASSES:
        return None
    others = [label for label in usable if label != NEUTRAL]
    support: dict[str, list[Utterance]] = {}
    for label in [NEUTRAL, *rng.choice(others, CLASSES - 1, replace=False).tolist()]:
        known = of(label, own=job.enrolled)
        support[label] = [known[place] for place in rng.choice(len(known), SHOTS, replace=False)]
    heard = {label: [clip for clip in of(label, own=True) if clip not in support[label]] for label in support}
    audio, spans = make_stream(heard, job.share, rng)
    return Material({label: [load(clip.path) for clip in own] for label, own in support.items()}, audio, spans)


@cache
def load(path: Path) -> Waveform:
    """A clip, read once."""
    return load_audio(path)


def make_stream(
    heard: dict[str, list[Utterance]], share: float, rng: np.random.Generator
) -> tuple[Waveform, list[Span]]:
    """Clips with pauses, and their spans."""
    names = list(heard)
    pause = round(PAUSE_S * SAMPLE_RATE_HZ)
    parts: list[Waveform] = []
    spans: list[Span] = []
    length = 0
    while length < LENGTH_S * SAMPLE_RATE_HZ:
        label = NEUTRAL if rng.random() < share else str(rng.choice(names[1:]))
        for _ in range(int(rng.geometric(1 / TURN))):
            clip = load(heard[label][rng.integers(len(heard[label]))].path)
            parts += [clip, (NOISE * rng.standard_normal(pause)).astype(np.float32)]
            spans.append(Span(length / SAMPLE_RATE_HZ, (length + len(clip)) / SAMPLE_RATE_HZ, label))
            length += len(clip) + pause
    return np.concatenate(parts), spans


def listen(engine: Engine, audio: Waveform) -> list[HeardUtterance]:
    """All windows of a stream, by utterance."""
    stream = KeepingStream(engine)
    events = stream.push(audio) + stream.finish()
    ends = [round((event.end_s or 0) * SAMPLE_RATE_HZ) for event in events if event.event == "leave"]
    embeddings = iter(stream.embeddings)
    return [
        HeardUtterance(
            segment.start,
            [HeardWindow(next(embeddings), each.start, each.news_start) for each in segment.windows],
            end,
        )
        for segment, end in zip((each for each in stream.segments if each.windows), ends, strict=True)
    ]


@dataclass(eq=False)
class Offset:
    """The offset of a speaker in the space of normalised, whitened embeddings, estimated from what was heard."""

    classifier: Classifier
    embeddings: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    power: float
    """Of the evenness; 0: the mean alone."""

    by_utterance: bool = False
    value: Floats = field(init=False)

    def __post_init__(self) -> None:
        rows = self.normalised(self.embeddings)
        classes = np.stack([rows[self.targets == target].mean(axis=0) for target in range(self.targets.max() + 1)])
        self._centre: Floats = classes.mean(axis=0)
        self._directions = unit(classes - self._centre)
        self._by_class = np.zeros(len(classes))
        self._moved = np.zeros_like(self._centre)
        self.value = np.zeros_like(self._centre)

    def normalised(self, embeddings: npt.NDArray[np.float32]) -> Floats:
        """[B, E] -> [B, E]."""
        return self.classifier.whitening(unit(embeddings).astype(np.float32))

    def hear(self, embedding: npt.NDArray[np.float32], seconds: float) -> None:
        """Take an [E] embedding that stands for so many seconds of new speech."""
        moved = self.normalised(embedding[None])[0] - self._centre
        self._by_class += seconds * softmax(SHARPNESS * (self._directions @ unit(moved - self.value)))
        self._moved += seconds * moved
        heard_s = self._by_class.sum()
        shares = self._by_class / heard_s
        perplexity = np.exp(-(shares * np.log(np.maximum(shares, np.finfo(float).tiny))).sum())
        evenness = (perplexity - 1) / (len(shares) - 1)
        self.value = evenness**self.power * self._moved / (heard_s + PRIOR_S)


ESTIMATORS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "mean": {"power": 0},
    "evenness": {"power": 1},
    "squared evenness": {"power": 2},
    "cubed evenness": {"power": 3},
    "squared evenness, utterances": {"power": 2, "by_utterance": True},
    "cubed evenness, utterances": {"power": 3, "by_utterance": True},
}


def label_segments(
    heard: Sequence[HeardUtterance], profile: Profile, scale: float, offset: Offset | None
) -> list[Span]:
    """The segments of a stream, always with a label, by the rules of `metaser stream`."""
    calibration = Calibration(profile.calibration.temperature)
    settings = StreamSettings()
    rules = SegmentRules(profile.labels, calibration, round(settings.dwell_s / settings.hop_s), settings.leave_share)
    found: list[Span] = []
    for utterance in heard:
        segment = Segment(utterance.start, rules)
        for window, new_s in zip(utterance.windows, utterance.new_s, strict=True):
            if offset is None:
                cosines = profile.classifier.cosines(window.embedding[None])
            else:
                if not offset.by_utterance:
                    offset.hear(window.embedding, new_s)
                moved = offset.normalised(window.embedding[None]) - offset.value
                cosines = unit(moved) @ profile.classifier.prototypes.T
            scores = score(cosines, scale, calibration)[0]
            if successor := segment.hear(Window(scores, window.start, window.news_start)):
                found.append(_span(segment.start, successor.start, segment.decision.label))
                segment = successor
        found.append(_span(segment.start, utterance.end, segment.close().label))
        if offset is not None and offset.by_utterance:
            rows = unit(np.array([window.embedding for window in utterance.windows]))
            offset.hear((np.array(utterance.new_s) @ rows).astype(np.float32), sum(utterance.new_s))
    return found


def _span(start: int, end: int, label: str | None) -> Span:
    assert label is not None  # there is no threshold
    return Span(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, label)


def accuracy(segments: Sequence[Span], clips: Sequence[Span]) -> float:
    """The mean over the classes that occur, in per cent."""
    correct: dict[str, list[bool]] = {}
    first = 0
    for clip in clips:
        while first < len(segments) and segments[first].end_s <= clip.start_s:
            first += 1
        near = [segment for segment in segments[first : first + 20] if segment.start_s < clip.end_s]
        best = max(near, key=lambda each: min(clip.end_s, each.end_s) - max(clip.start_s, each.start_s), default=None)
        correct.setdefault(clip.label, []).append(best is not None and best.label == clip.label)
    return 100 * float(np.mean([np.mean(each) for each in correct.values()]))


def measure(corpora: Path, job: Job) -> dict[str, Any] | None:
    """Accuracy by each estimator; None if the corpus is too small for it."""
    material = make_material(corpora, job)
    if material is None:
        return None
    engine = Engine.open(provider="cpu", threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        profile = engine.enroll(material.support)
        heard = listen(engine, material.audio)
    found = {}
    for name, options in ESTIMATORS.items():
        offset = None if options is None else Offset(profile.classifier, profile.embedded, profile.targets, **options)
        segments = label_segments(heard, profile, engine.bundle.scale, offset)
        found[name] = round(accuracy(segments, material.clips), 2)
    print(job, found, flush=True)
    return {**vars(job), "accuracy": found}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By share of neutral clips and estimator: the mean over corpora, its interval over streams, the lowest corpus."""
    found: dict[str, dict[str, Any]] = {}
    for share in SHARES:
        own = [row for row in rows if row["share"] == share]
        corpora = sorted({row["corpus"] for row in own})
        figures: dict[str, Any] = {"streams": len(own), "corpora": corpora}
        figures["none"] = round(float(np.mean([row["accuracy"]["none"] for row in own])), 1)
        for name in ESTIMATORS:
            if name == "none":
                continue
            gains = [
                [row["accuracy"][name] - row["accuracy"]["none"] for row in own if row["corpus"] == corpus]
                for corpus in corpora
            ]
            means = [float(np.mean(each)) for each in gains]
            error = np.std(np.concatenate(gains), ddof=1) / np.sqrt(len(own))
            figures[name] = {
                "difference": round(float(np.mean(means)), 2),
                "interval": round(1.96 * float(error), 2),
                "lowest": round(min(means), 2),
            }
        found[f"{share:g}"] = figures
    return found


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.research.unseen.window_centring", description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="streams of each kind and corpus")
    given = parser.parse_args()
    jobs = [
        Job(corpus, share, seed, enrolled)
        for seed in range(given.seeds)
        for enrolled in (False, True)
        for share in SHARES
        for corpus in SIX
    ]
    with ProcessPoolExecutor(2) as pool:
        rows = [row for row in pool.map(partial(measure, given.corpora), jobs) if row]
    results = {
        name: summary([row for row in rows if row["enrolled"] is enrolled])
        for name, enrolled in (("unseen", False), ("enrolled", True))
    }
    command = "python -m benchmarks.research.unseen.window_centring CORPORA"
    write_result("window_centring", {"machine": machine(), "command": command, **results, "streams": rows}, RESEARCH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
