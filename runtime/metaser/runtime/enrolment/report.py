"""The enrolment report: quality of a profile's clips, confused classes, and what to do about both.

It is made from the profile alone, so it needs no clips. Every score compares a clip with prototypes made without it.
docs/enrolment.md explains the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from metaser.runtime.enrolment.clip import Clip
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.enrolment.verdict import Verdict
from metaser.runtime.scoring.decision import softmax, unit
from metaser.runtime.scoring.leave_one_out import LeftOutScores
from metaser.runtime.words import counted

FEW_CLIPS = 3
"""Least number of clips for judging a class; five are a good start."""

MANY_CLIPS = 10
"""Up to so many clips per class were measured to help for every corpus."""

DOUBTFUL = 0.02
"""A clip whose own class gets a lower probability when it is left out may have the wrong label."""

TWIN_COSINE = 0.9995
"""Two clips with at least this cosine are one recording, encoded twice."""

LONG_S = 15.0
LONG_TIMES = 5.0
"""A clip is long from this duration on, if it is also this many times as long as the median of the others."""

OVERLAP = 0.3
"""Two classes overlap if this share of their left-out clips is nearer to the other of the two."""


CUT_IT = "it counts as one clip, so cut clips of a few seconds from it"


@dataclass(frozen=True)
class ClipReport:
    """One clip."""

    clip: Clip
    faults: tuple[str, ...]
    """Faults of the recording."""

    is_long: bool
    """It is many times as long as the others; `faults` then contains this too."""

    twin: str | None
    """Another clip that is nearly the same recording."""

    nearest: str | None
    """The predicted class if it were not enrolled; None if its class has no other clip."""

    probability: float | None
    """Probability of its own class, likewise."""

    @property
    def is_outlier(self) -> bool:
        """Whether it is much more similar to another class."""
        return self.probability is not None and self.probability < DOUBTFUL


@dataclass(frozen=True)
class ClassReport:
    """One class."""

    label: str
    clips: int
    speech_s: float | None
    cohesion: float | None
    """Mean cosine of its left-out clips to its other clips."""

    recognised: int | None
    """Left-out clips with the correct predicted label."""


@dataclass(frozen=True)
class PairReport:
    """Two classes."""

    labels: tuple[str, str]
    confused: float
    """Share of their left-out clips that are nearer to the other of the two."""

    clips: int

    @property
    def overlaps(self) -> bool:
        """Whether they will often be confused."""
        return self.confused >= OVERLAP


@dataclass(frozen=True)
class Report:
    """The report on a profile."""

    clips: tuple[ClipReport, ...]
    classes: tuple[ClassReport, ...]
    pairs: tuple[PairReport, ...]
    """Most confused first."""

    findings: tuple[str, ...]
    """What to do, most important first; empty if nothing stands out."""

    verdict: Verdict
    """Whether the labels can be relied on."""

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, as `metaser enroll --report --json` prints it."""
        return {
            "clips": [
                {
                    "label": each.clip.label,
                    "name": each.clip.name,
                    "group": each.clip.group,
                    "sha256": each.clip.sha256,
                    **(asdict(each.clip.quality) if each.clip.quality else {}),
                    "copies": list(each.clip.copies),
                    "faults": list(each.faults),
                    "long": each.is_long,
                    "twin": each.twin,
                    "nearest": each.nearest,
                    "probability": each.probability,
                    "outlier": each.is_outlier,
                }
                for each in self.clips
            ],
            "classes": [asdict(each) for each in self.classes],
            "pairs": [{**asdict(each), "overlaps": each.overlaps} for each in self.pairs],
            "findings": list(self.findings),
            "verdict": {**asdict(self.verdict), "sentence": self.verdict.sentence},
        }


def make_report(profile: Profile, scale: float) -> Report:
    """The report on a profile; `scale` is that of the active head."""
    fitted = profile.cross_fitted
    clips = _clips(profile, fitted, scale)
    classes = _classes(profile, fitted)
    counts = np.bincount(fitted.targets, minlength=len(profile.labels))
    pairs = [
        PairReport((profile.labels[a], profile.labels[b]), share, int(counts[a] + counts[b]))
        for (a, b), share in pair_confusions(fitted).items()
    ]
    pairs.sort(key=lambda pair: (-pair.confused, pair.labels))
    findings = _findings(clips, classes, pairs)
    if profile.verdict.level == "unreliable" and FEW_CLIPS <= min(each.clips for each in classes) < MANY_CLIPS:
        findings.append(f"more clips help: record {MANY_CLIPS} of each class")
    return Report(clips, classes, tuple(pairs), tuple(findings), profile.verdict)


def pair_confusions(fitted: LeftOutScores) -> dict[tuple[int, int], float]:
    """For each pair of classes the share of left-out clips that are nearer to the other class of the pair."""
    found = {}
    for pair in combinations(range(fitted.cosines.shape[1]), 2):
        own = np.isin(fitted.targets, pair)
        if own.any():
            is_second = fitted.cosines[own, pair[1]] > fitted.cosines[own, pair[0]]
            found[pair] = float(np.mean(is_second != (fitted.targets[own] == pair[1])))
    return found


def _clips(profile: Profile, fitted: LeftOutScores, scale: float) -> tuple[ClipReport, ...]:
    rows = softmax(scale / profile.calibration.temperature * fitted.cosines)
    place = {row: number for number, row in enumerate(fitted.rows.tolist())}
    twins = _twins(profile)
    durations = [clip.quality.duration_s for clip in profile.clips if clip.quality]
    reports = []
    for row, clip in enumerate(profile.clips):
        nearest = probability = None
        if row in place:
            nearest = profile.labels[int(rows[place[row]].argmax())]
            probability = round(float(rows[place[row], profile.targets[row]]), 4)
        faults = clip.quality.faults() if clip.quality else []
        usual_s = usual_if_long(clip.quality.duration_s, durations) if clip.quality else None
        if clip.quality and usual_s is not None:
            faults.append(f"{clip.quality.duration_s:.0f} s long and the others about {usual_s:.1f} s")
        reports.append(ClipReport(clip, tuple(faults), usual_s is not None, twins.get(row), nearest, probability))
    return tuple(reports)


def usual_if_long(duration_s: float, durations: Sequence[float]) -> float | None:
    """The median of the other clips, if a clip of this duration is long compared with them."""
    others = list(durations)
    others.remove(duration_s)
    usual_s = float(np.median(others)) if others else duration_s
    return usual_s if duration_s >= max(LONG_S, LONG_TIMES * usual_s) else None


def _twins(profile: Profile) -> dict[int, str]:
    """Row of the later of two nearly equal recordings in a class -> title of the earlier."""
    twins: dict[int, str] = {}
    for number in range(len(profile.labels)):
        rows = np.flatnonzero(profile.targets == number)
        directions = unit(profile.embeddings[rows])
        near = np.argwhere(np.tril(directions @ directions.T, k=-1) >= TWIN_COSINE)
        for later, earlier in near.tolist():
            twins.setdefault(int(rows[later]), profile.clips[rows[earlier]].title)
    return twins


def _classes(profile: Profile, fitted: LeftOutScores) -> tuple[ClassReport, ...]:
    reports = []
    for number, label in enumerate(profile.labels):
        own = fitted.targets == number
        qualities = [clip.quality for clip in profile.clips if clip.label == label]
        measured = [quality.speech_s for quality in qualities if quality]
        reports.append(
            ClassReport(
                label=label,
                clips=len(qualities),
                speech_s=round(sum(measured), 1) if len(measured) == len(qualities) else None,
                cohesion=round(float(fitted.cosines[own, number].mean()), 4) if own.any() else None,
                recognised=int(fitted.correct[own].sum()) if own.any() else None,
            )
        )
    return tuple(reports)


def _advice(report: ClipReport) -> str:
    """What to do about the faults of a clip."""
    return CUT_IT if report.is_long and len(report.faults) == 1 else "record it again"


def _findings(clips: tuple[ClipReport, ...], classes: tuple[ClassReport, ...], pairs: list[PairReport]) -> list[str]:
    found = [f"{each.clip.title}: {', '.join(each.faults)}; {_advice(each)}" for each in clips if each.faults]
    found += [
        f"{each.clip.title} sounds more like {each.nearest}: check its label"
        for each in clips
        if each.is_outlier and not each.faults
    ]
    found += [f"{each.clip.title} repeats {each.twin} and adds nothing: record another" for each in clips if each.twin]
    found += [
        f"{each.label} has {counted(each.clips, 'clip')}: five are a good start"
        for each in classes
        if each.clips < FEW_CLIPS
    ]
    found += [
        f"{pair.labels[0]} and {pair.labels[1]} overlap: add two clips of each"
        for pair in pairs
        if pair.overlaps and pair.clips >= 2 * FEW_CLIPS
    ]
    return found
