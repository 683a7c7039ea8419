"""The enrolment report: what a profile's clips are worth, what it will confuse, and what to do about it.

It is made from the profile alone, so it can be read again when the clips are gone. Every score is of a clip against
prototypes that have not seen it. Where the limits come from: docs/enrolment.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from metaser.runtime.enrolment.clip import Clip
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.scoring.decision import softmax, unit
from metaser.runtime.scoring.leave_one_out import LeftOutScores

FEW_CLIPS = 3
"""From so many clips a class can be judged at all; five are a good start."""

DOUBTFUL = 0.02
"""A clip whose own class gets a lower probability when it is left out may have the wrong label."""

TWIN_COSINE = 0.9995
"""Two clips this near each other are one recording, coded twice."""

LONG_S = 15.0
LONG_TIMES = 5.0
"""A clip is long from so many seconds on, if it is also so many times as long as the median of the others."""

OVERLAP = 0.3
"""Two classes overlap where this share of their left-out clips is nearer to the other of the two."""


CUT_IT = "it counts as one clip, so cut clips of a few seconds from it"


@dataclass(frozen=True)
class ClipReport:
    """One clip."""

    clip: Clip
    faults: tuple[str, ...]
    """What is wrong with the recording."""

    is_long: bool
    """It is many times as long as the others; then `faults` says so too."""

    twin: str | None
    """Another clip that is nearly the same recording."""

    nearest: str | None
    """The class it would be given if it were not enrolled; None where its class has no other clip."""

    probability: float | None
    """Of its own class, likewise."""

    @property
    def is_outlier(self) -> bool:
        """Whether it is far more like another class."""
        return self.probability is not None and self.probability < DOUBTFUL


@dataclass(frozen=True)
class ClassReport:
    """One class."""

    label: str
    clips: int
    speech_s: float | None
    cohesion: float | None
    """Mean cosine of its left-out clips to the rest of it."""

    recognised: int | None
    """Left-out clips that are given their class."""


@dataclass(frozen=True)
class PairReport:
    """Two classes."""

    labels: tuple[str, str]
    confused: float
    """Share of their left-out clips that are nearer to the other of the two."""

    clips: int

    @property
    def overlaps(self) -> bool:
        """Whether they will often be taken for each other."""
        return self.confused >= OVERLAP


@dataclass(frozen=True)
class Report:
    """What a profile's clips are worth."""

    clips: tuple[ClipReport, ...]
    classes: tuple[ClassReport, ...]
    pairs: tuple[PairReport, ...]
    """Most confused first."""

    verdicts: tuple[str, ...]
    """What to do, most important first; empty where nothing stands out."""


def make_report(profile: Profile, scale: float) -> Report:
    """The report on a profile; `scale` is that of the head in force, `Engine.scale`."""
    fitted = profile.cross_fitted
    clips = _clips(profile, fitted, scale)
    classes = _classes(profile, fitted)
    counts = np.bincount(fitted.targets, minlength=len(profile.labels))
    pairs = [
        PairReport((profile.labels[a], profile.labels[b]), share, int(counts[a] + counts[b]))
        for (a, b), share in pair_confusions(fitted).items()
    ]
    pairs.sort(key=lambda pair: (-pair.confused, pair.labels))
    return Report(clips, classes, tuple(pairs), tuple(_verdicts(clips, classes, pairs)))


def pair_confusions(fitted: LeftOutScores) -> dict[tuple[int, int], float]:
    """The share of each two classes' left-out clips that are nearer to the other of the two."""
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
    """The median of the other clips, if one of this duration is long beside them."""
    others = list(durations)
    others.remove(duration_s)
    usual_s = float(np.median(others)) if others else duration_s
    return usual_s if duration_s >= max(LONG_S, LONG_TIMES * usual_s) else None


def _twins(profile: Profile) -> dict[int, str]:
    """The later of two clips of a class that are nearly the same recording, with the title of the earlier."""
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


def _verdicts(clips: tuple[ClipReport, ...], classes: tuple[ClassReport, ...], pairs: list[PairReport]) -> list[str]:
    said = [f"{each.clip.title}: {', '.join(each.faults)}; {_advice(each)}" for each in clips if each.faults]
    said += [
        f"{each.clip.title} sounds more like {each.nearest}: check its label"
        for each in clips
        if each.is_outlier and not each.faults
    ]
    said += [f"{each.clip.title} repeats {each.twin} and adds nothing: record another" for each in clips if each.twin]
    said += [
        f"{each.clip.title} is there twice, as {', '.join(each.clip.copies)}" for each in clips if each.clip.copies
    ]
    said += [f"{each.label} has {each.clips} {'clip' if each.clips == 1 else 'clips'}: five are a good start"
             for each in classes if each.clips < FEW_CLIPS]  # fmt: skip
    said += [
        f"{pair.labels[0]} and {pair.labels[1]} overlap: add two clips of each"
        for pair in pairs
        if pair.overlaps and pair.clips >= 2 * FEW_CLIPS
    ]
    return said
