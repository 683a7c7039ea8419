"""New labelled clips tested against a profile: correct clips per class, confusions, and trust in confidences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.enrolment.clip import LISTED
from metaser.runtime.enrolment.copies import copies_of_others, enrolled_copies, without_copies
from metaser.runtime.enrolment.embed import EmbeddedClips, embed_clips
from metaser.runtime.enrolment.labels import not_enrolled
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.enrolment.support import Progress, Support, read_support
from metaser.runtime.enrolment.verdict import wilson_interval
from metaser.runtime.errors import SupportError
from metaser.runtime.scoring.calibration import confidence_error
from metaser.runtime.scoring.decision import Decision, decide, score
from metaser.runtime.words import counted, listed

if TYPE_CHECKING:
    from metaser.runtime.enrolment.clip import Clip
    from metaser.runtime.model.model import Model

SURE = 0.8
"""A wrong label with at least this confidence is worth listening to."""


@dataclass(frozen=True)
class TestedClip:
    """One clip and its answer."""

    __test__ = False  # not a test class of pytest
    clip: Clip
    decision: Decision

    @property
    def file(self) -> str:
        """The path of the clip, or its title if it was an array."""
        return self.clip.path or self.clip.title

    @property
    def is_correct(self) -> bool:
        """Whether the label is that of the clip's folder; a clip of a class that is not enrolled should be unknown."""
        return self.decision.label == self.clip.label


@dataclass(frozen=True)
class ProfileEvaluation:
    """The answers for new clips."""

    labels: tuple[str, ...]
    """The enrolled classes."""

    clips: tuple[TestedClip, ...]
    """Clips of the enrolled classes."""

    foreign: tuple[TestedClip, ...]
    """Clips of classes that are not enrolled: the correct answer is unknown."""

    enrolled: tuple[Clip, ...]
    """Clips that are enrolled, or copies of them, which are not tested: they say nothing about new clips."""

    skipped: EmbeddedClips
    """What could not be used, and why."""

    @property
    def correct(self) -> int:
        """Clips of the enrolled classes with the correct label."""
        return sum(each.is_correct for each in self.clips)

    @property
    def unknown(self) -> int:
        """Clips of the enrolled classes without a label."""
        return sum(each.decision.label is None for each in self.clips)

    @property
    def foreign_labelled(self) -> int:
        """Clips of classes that are not enrolled that get a label: false accepts."""
        return sum(each.decision.label is not None for each in self.foreign)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 80 % interval of the accuracy, by Wilson's score; None without clips of the enrolled classes."""
        return wilson_interval(self.correct, len(self.clips)) if self.clips else None

    def warnings(self) -> list[str]:
        """One sentence per class that is not enrolled, per notice, and per kind of skipped file."""
        return [*not_enrolled((each.clip.label for each in self.foreign), self.labels), *self.skipped.warnings()]

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """[C, C + 1] counts: the row is the true class, the column the label; the last column is unknown."""
        found = np.zeros((len(self.labels), len(self.labels) + 1), np.int64)
        for each in self.clips:
            label = each.decision.label
            column = len(self.labels) if label is None else self.labels.index(label)
            found[self.labels.index(each.clip.label), column] += 1
        return found

    @property
    def mean_confidence(self) -> float | None:
        """The mean confidence of the labels that were given; to compare with their accuracy."""
        given = [each.decision.confidence for each in self._labelled]
        return float(np.mean(given)) if given else None

    @property
    def labelled_accuracy(self) -> float | None:
        """The share of the given labels that are correct."""
        return float(np.mean([each.is_correct for each in self._labelled])) if self._labelled else None

    @property
    def confidence_error(self) -> float | None:
        """The expected calibration error of the given labels."""
        if not self._labelled:
            return None
        confidence = np.array([each.decision.confidence for each in self._labelled])
        return confidence_error(confidence, np.array([each.is_correct for each in self._labelled]))

    @property
    def to_hear(self) -> tuple[TestedClip, ...]:
        """Clips with a wrong label of high confidence, the most confident first: listen to these."""
        wrong = [each for each in self._labelled if not each.is_correct and each.decision.confidence >= SURE]
        return tuple(sorted(wrong, key=lambda each: -each.decision.confidence))

    @property
    def _labelled(self) -> list[TestedClip]:
        return [each for each in self.clips if each.decision.label is not None]


def evaluate(  # noqa: PLR0913 # a model, a profile, clips and three options
    model: Model,
    profile: Profile,
    support: Support,
    *,
    groups: bool = False,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    progress: Progress | None = None,
) -> ProfileEvaluation:
    """Label the clips of `support`, a folder per class as at enrolment, and compare with the folders' names.

    Raises:
        NotFoundError, InputError, SupportError: as `read_support`.
        SupportError: no class is one of the profile, no clip can be used, or all clips are enrolled.
    """
    check(groups=groups, progress=progress)
    found = read_support(support, groups=groups, command="test", enrolled=profile.labels, sample_rate_hz=sample_rate_hz)
    _check_classes(sorted({clip.clip.label for clip in found.clips}), profile.labels)
    read = embed_clips(found.clips, lambda waveform: model.embed(waveform, profile.head), progress, model.workers)
    if not read.clips:
        raise SupportError(
            f"no clip can be used ({listed(list(map(str, read.errors)), LISTED, '; ')}): give other clips"
        )
    read = without_copies(read, "tested")
    known = enrolled_copies(read, profile)
    others = copies_of_others(read, profile)
    new = read.rows([row for row in range(len(read.clips)) if row not in known and row not in others])
    enrolled = [(read.clips[row], clip) for row, clip in known.items()]
    contradictions = _contradictions(enrolled)
    if others:
        names = listed([read.clips[row].title for row in others], LISTED)
        contradictions.append(f"other speech of the profile is not tested: {names}")
    if not new.clips:
        raise SupportError(". ".join(["all clips are enrolled: test the profile with other clips", *contradictions]))
    tested = _tested(new, profile, profile.scale(model.bundle.scale))
    if enrolled:
        contradictions.insert(0, f"Not tested, because enrolled: {counted(len(enrolled), 'clip')}")
    notices = (*found.notices, *read.notices, *contradictions, *new.faults())
    return ProfileEvaluation(
        labels=profile.labels,
        clips=tuple(each for each in tested if each.clip.label in profile.labels),
        foreign=tuple(each for each in tested if each.clip.label not in profile.labels),
        enrolled=tuple(clip for clip, _ in enrolled),
        skipped=EmbeddedClips((), read.embeddings[:0], read.refused, found.left_out, notices),
    )


def _contradictions(enrolled: Sequence[tuple[Clip, Clip]]) -> list[str]:
    """A sentence about clips that are enrolled in another class than that of their folder."""
    names = [f"{clip.title} is enrolled as {known.title}" for clip, known in enrolled if clip.label != known.label]
    return [f"The labels of these clips contradict the profile: {listed(names, LISTED)}"] if names else []


def _check_classes(labels: list[str], enrolled: tuple[str, ...]) -> None:
    """Raise SupportError if no label is an enrolled class: then nothing would be compared."""
    if not set(labels) & set(enrolled):
        lines = not_enrolled(labels, enrolled)
        raise SupportError(
            f"no class is enrolled: {listed(lines, LISTED)}. Name the folders as the enrolled classes: "
            f"{', '.join(enrolled)}"
        )


def _tested(read: EmbeddedClips, profile: Profile, scale: float) -> Sequence[TestedClip]:
    if not read.clips:
        return ()
    rows = score(profile.classifier.cosines(read.embeddings), scale, profile.calibration)  # [M, C]
    decisions = [decide(row, profile.labels, profile.calibration) for row in rows]
    return [TestedClip(clip, decision) for clip, decision in zip(read.clips, decisions, strict=True)]
