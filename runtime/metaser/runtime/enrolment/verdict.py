"""The verdict on a profile: whether its labels can be relied on, judged by its left-out clips.

The limit was chosen on validation speakers: nine in ten profiles that are called reliable label at least 75 % of new
clips of the same speakers correctly (`python -m benchmarks.research.verdict`; docs/enrolment.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from metaser.runtime.scoring.leave_one_out import LeftOutScores
from metaser.runtime.words import counted

Level: TypeAlias = Literal["reliable", "unreliable", "guessing", "untested"]

NORMAL_90 = 1.2816
"""The 90th percentile of the normal distribution: the interval has 10 % on each side."""

RELIABLE = 0.70
"""A profile is reliable if the lower end of the interval of its accuracy is at least this."""

LEAST_CLIPS = 6
LEAST_CLASSES = 2
LEARNED = 0.5
"""A class is learned if at least this share of its left-out clips is correct."""


@dataclass(frozen=True)
class Verdict:
    """How many left-out clips get the correct label, and what that allows to say."""

    level: Level
    correct: int
    clips: int
    """Left-out clips; clips that are alone in their class are not among them."""

    guessing: float
    """The number of correct clips if the largest class is always the answer."""

    low: float
    high: float
    """The 80 % interval of the accuracy on new clips of the people in the enrolled clips, if all classes are equally
    frequent."""

    not_learned: tuple[str, ...]
    """Classes of which less than half of the clips are correct."""

    classes: int
    """The number of classes."""

    alone: tuple[str, ...] = ()
    """Classes with a single clip, which cannot be left out."""

    weak: tuple[str, ...] = ()
    """Learned classes of which less than 70 % of the clips are correct."""

    no_speech: tuple[str, ...] = ()
    """Classes of which most clips hold no speech: a stream labels only speech, and never finds them."""

    @property
    def sentence(self) -> str:
        """The verdict for people, in one line."""
        return " ".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """The verdict for people: the numbers, the conclusion, and what to do."""
        if self.level == "untested":
            has = "has" if len(self.alone) == 1 else "have only"
            reason = f"{_joined(self.alone)} {has} a single clip" if self.alone else "there are too few clips"
            return [f"Not tested: {reason}. Enrol three or more clips per class.", *self._without_speech()]
        numbers = (
            f"{self.correct} of {counted(self.clips, 'clip')} correct when left out ({100 * self.low:.0f} to "
            f"{100 * self.high:.0f} %); guessing gives {self.guessing:.0f}."
        )
        return [numbers, _CONCLUSIONS[self.level], *self._advice()]

    @property
    def hint(self) -> str | None:
        """One line for answers of a profile that is not reliable; None if it is."""
        return None if self.level == "reliable" else f"Do not rely on these labels: {self.lines[0]}"

    def _without_speech(self) -> list[str]:
        if not self.no_speech:
            return []
        them = "this class" if len(self.no_speech) == 1 else "these classes"
        return [f"No speech in {_joined(self.no_speech)}: a stream labels only speech and never finds {them}."]

    def _advice(self) -> list[str]:
        if self.no_speech:
            return self._without_speech()
        if len(self.not_learned) == self.classes:
            return ["No class is learned. Record clearer clips, or choose classes that sound more different."]
        if self.not_learned:
            return [f"Not learned: {_joined(self.not_learned)}. Record clearer clips{self._or_leave_out()}."]
        if self.level != "reliable":
            return ["Add clips to each class."]
        return [f"Less sure: {_joined(self.weak)}. Check the labels of these clips, and add some."] if self.weak else []

    def _or_leave_out(self) -> str:
        """More advice if two classes are left without those that are not learned."""
        if self.classes - len(self.not_learned) < LEAST_CLASSES:
            return ""
        return f", or leave {'the class' if len(self.not_learned) == 1 else 'them'} out"


_CONCLUSIONS = {
    "reliable": "Reliable for these people if each speaks in every class; test it on others.",
    "unreliable": "Do not rely on this yet.",
    "guessing": "This may be guessing: do not use it.",
}


def _joined(labels: Sequence[str]) -> str:
    return " and ".join([", ".join(labels[:-1]), labels[-1]]).removeprefix(" and ")


def judge(fitted: LeftOutScores, labels: Sequence[str], no_speech: Sequence[str] = ()) -> Verdict:
    """The verdict on left-out clips of classes `labels`, of which those of `no_speech` hold none."""
    clips, correct = len(fitted.rows), int(fitted.correct.sum())
    counts = np.bincount(fitted.targets, minlength=len(labels))
    hits = np.bincount(fitted.targets, weights=fitted.correct, minlength=len(labels))
    if clips < LEAST_CLIPS or not counts.all():
        alone = tuple(label for label, count in zip(labels, counts, strict=True) if not count)
        untested = Verdict("untested", correct, clips, clips / len(labels), 0.0, 1.0, (), len(labels), alone)
        return replace(untested, no_speech=tuple(no_speech))
    even = len(labels) ** 2 / float((1 / counts).sum())  # clips in equal classes that would say as much
    low, high = wilson_interval(float((hits / counts).mean()) * even, even)
    is_reliable = low >= RELIABLE and not no_speech
    level: Level = "reliable" if is_reliable else "unreliable" if low > 1 / len(labels) else "guessing"
    shares = list(zip(labels, hits / counts, strict=True))
    not_learned = [label for label, share in shares if share < LEARNED]
    weak = tuple(label for label, share in shares if LEARNED <= share < RELIABLE)
    found = Verdict(level, correct, clips, float(counts.max()), low, high, tuple(not_learned), len(labels))
    return replace(found, weak=weak, no_speech=tuple(no_speech))


def wilson_interval(correct: float, count: float, z: float = NORMAL_90) -> tuple[float, float]:
    """The interval of a share by Wilson's score (J. Am. Stat. Assoc. 22, 1927), `z` standard errors to each side."""
    share = correct / count
    middle = share + z * z / (2 * count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    whole = 1 + z * z / count
    return (middle - half) / whole, (middle + half) / whole
