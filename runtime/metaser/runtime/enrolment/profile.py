"""A person's profile: the embeddings of their support clips, in one safetensors file.

Prototypes are derived, never stored: float64 means in the order of the clips' sha256, so any order of enrolling the
same clips gives the same bytes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check, check_fields
from metaser.runtime.arrays import Embeddings, HeadParameters, Prototypes
from metaser.runtime.enrolment.clip import (
    Clip,
    check_clips,
    enrolled_elsewhere,
    rows_named,
    with_new_names,
    with_tidy_label,
)
from metaser.runtime.enrolment.profile_file import check_is_profile, delete, read_content, undo_path
from metaser.runtime.enrolment.profile_format import damaged, from_bytes, to_bytes
from metaser.runtime.enrolment.verdict import Verdict, judge
from metaser.runtime.errors import InputError, NotFoundError, ProfileError, SupportError, WorkError
from metaser.runtime.scoring.calibration import ExpectedRates
from metaser.runtime.scoring.classifier import Classifier
from metaser.runtime.scoring.decision import Calibration, prototype
from metaser.runtime.scoring.leave_one_out import LeftOutScores, cross_fit, fitted_by_fold
from metaser.runtime.system.command_line import command_line
from metaser.runtime.system.files import behind_links, replace_file, sweep
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.in_place import unfinished
from metaser.runtime.system.locks import profile_lock
from metaser.runtime.words import counted, shown

if TYPE_CHECKING:
    from metaser.runtime.tuning.tuned_head import TunedHead

Unknown: TypeAlias = Literal["off", "calibrated", "strict"]


@dataclass(frozen=True, eq=False)
class Profile:
    """The enrolled clips of one person or task, bound to the bundle that embedded them.

    Raises:
        ProfileError: a field has another type, or there is not one row of finite numbers per clip.
    """

    model_id: str
    graph_id: str
    bundle_name: str
    calibration: Calibration
    clips: tuple[Clip, ...]
    """Sorted by label and sha256."""

    embeddings: Embeddings
    """[M, E] by the untuned head, one row per clip, in the order of `clips`."""

    reliability: ExpectedRates = field(default_factory=ExpectedRates)
    others: tuple[Clip, ...] = ()
    """Other speech and noise given to `metaser calibrate`, without labels."""

    other_embeddings: Embeddings | None = None
    """[O, E] by the active head, one row per clip of `others`; None if there are none."""

    tuned: TunedHead | None = None
    """A head tuned on exactly these clips; it is dropped when clips are added or removed."""

    def __post_init__(self) -> None:
        check_fields(self, ProfileError)
        if len(self.clips) != len(self.embeddings):
            rows = counted(len(self.embeddings), "row")
            raise ProfileError(f"{counted(len(self.clips), 'clip')} and {rows} of embeddings: give one per clip")
        order = sorted(range(len(self.clips)), key=lambda row: self.clips[row])
        object.__setattr__(self, "clips", tuple(self.clips[row] for row in order))
        object.__setattr__(self, "embeddings", self.embeddings[order])
        if self.tuned and self.tuned.clips != tuple(clip.sha256 for clip in self.clips):
            object.__setattr__(self, "tuned", None)
            object.__setattr__(self, "others", ())  # embedded by that head
            object.__setattr__(self, "other_embeddings", None)
        if self.other_embeddings is not None and not len(self.other_embeddings):
            object.__setattr__(self, "other_embeddings", None)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    @cached_property
    def clips_key(self) -> int:
        """Equal for profiles of the same clips and labels whose heads are both tuned or both not."""
        return hash((self.tuned is None, *((clip.label, clip.sha256) for clip in self.clips)))

    @cached_property
    def targets(self) -> npt.NDArray[np.int64]:
        """[M] the position of each clip's class in `labels`."""
        number = {label: number for number, label in enumerate(self.labels)}  # NumPy's text drops trailing zeros
        return np.array([number[clip.label] for clip in self.clips], np.int64)

    @cached_property
    def prototypes(self) -> Prototypes:
        """[C, E] unit rows in the order of `labels`."""
        return np.stack([prototype(self.embedded[self.targets == number]) for number in range(len(self.labels))])

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier of the active head's embeddings."""
        return Classifier.fit(self.embedded, self.targets)

    @property
    def embedded(self) -> Embeddings:
        """[M, E] the clips by the active head, the tuned one or the bundle's own."""
        return self.tuned.embeddings if self.tuned else self.embeddings

    @property
    def head(self) -> HeadParameters | None:
        """The parameters of the tuned head; None if the bundle's own head is active."""
        return self.tuned.parameters if self.tuned else None

    def scale(self, of_bundle: float) -> float:
        """The factor on cosines of the active head, the tuned one or the bundle's own.

        Raises:
            InputError: `of_bundle` is not a number above 0.
        """
        check(of_bundle=of_bundle)
        return self.tuned.scale if self.tuned else of_bundle

    @cached_property
    def cross_fitted(self) -> LeftOutScores:
        """Scores of the clips against prototypes, and a tuned head, made without them."""
        if self.tuned:
            return fitted_by_fold(self.tuned.cross_fitted, self.targets, len(self.labels))
        return cross_fit(self.embeddings, self.targets)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the labels can be relied on, by the clips when they are left out."""
        counts = Counter(clip.label for clip in self.clips)
        silent = Counter(clip.label for clip in self.clips if clip.quality and not clip.quality.speech_s)
        no_speech = [label for label in self.labels if 2 * silent[label] > counts[label]]
        return judge(self.cross_fitted, self.labels, no_speech)

    def with_clips(self, clips: Sequence[Clip], embeddings: Embeddings) -> Profile:
        """This profile with more clips; a clip that is already enrolled counts once, at its newer path.

        Raises:
            SupportError: these are not clips with a row each, or a recording is enrolled in another class.
        """
        check_clips(clips)
        width = self.embeddings.shape[1]
        if np.shape(embeddings) != (len(clips), width) or not np.isfinite(embeddings).all():
            raise SupportError(
                f"the embeddings are not finite numbers of shape ({len(clips)}, {width}): give a row per clip"
            )
        before = [with_tidy_label(clip) for clip in self.clips]
        enrolled = {clip.sha256: clip for clip in before}
        for clip in clips:
            twin = enrolled.get(clip.sha256)
            if twin and twin.label != clip.label:
                raise enrolled_elsewhere(clip, twin)
        new = {clip.sha256 for clip in clips}
        kept = [row for row, clip in enumerate(before) if clip.sha256 not in new]
        clips_kept = [before[row] for row in kept]
        return replace(
            self,
            clips=(*clips_kept, *with_new_names(clips, {clip.title for clip in clips_kept})),
            embeddings=np.concatenate([self.embeddings[kept], embeddings]),
        )

    def without(self, what: str) -> Profile:
        """This profile without a class, `LABEL`, or one clip of it: `LABEL/NAME`, `LABEL/GROUP/NAME`, `LABEL/SHA256`.

        Unicode's form and surrounding white space do not matter, unless two classes differ in them.

        Raises:
            SupportError: there is no such class or clip, the name is that of both, or fewer than two classes would be
                left.
        """
        gone = rows_named(self.clips, what)
        if not gone:
            if not what.strip():
                raise SupportError(f"no class or clip was named: name one of {', '.join(self.labels)}, or LABEL/CLIP")
            label = what.partition("/")[0]
            own = [clip.title for clip in self.clips if clip.label == label]
            meant = [clip.title for clip in self.clips if what.endswith(f"/{clip.title}")]
            hint = f"; did you mean {meant[0]}?" if meant else f": there are {', '.join(own or self.labels)}"
            raise SupportError(f"no class or clip {what} is enrolled{hint}")
        kept = [row for row in range(len(self.clips)) if row not in gone]
        left = sorted({self.clips[row].label for row in kept})
        if len(left) < 2:
            raise SupportError(
                f"without {what} {' and '.join(left) or 'nothing'} would be left and at least two classes are needed: "
                f"add another class first, or delete the profile with `{command_line('forget')}`"
            )
        return replace(self, clips=tuple(self.clips[row] for row in kept), embeddings=self.embeddings[kept])

    def without_others(self) -> Profile:
        """This profile without what it holds of other speech and noise."""
        return replace(self, others=(), other_embeddings=None)

    def answering(self, unknown: Unknown) -> Profile:
        """This profile with another rule for the answer `unknown`.

        `off`: always a label. `calibrated`: as calibrated. `strict`: about 1 in 20 clips of no enrolled class pass.

        Raises:
            InputError: there is no such rule.
            ProfileError: the profile has too few clips for `strict`.
        """
        if unknown not in ("off", "calibrated", "strict"):
            raise InputError(f"unknown is {shown(unknown)}: choose off, calibrated or strict")
        now = self.calibration
        if unknown == "off":
            return replace(self, calibration=Calibration(now.temperature))
        if unknown == "strict":
            if now.strict_cosine <= -1:
                raise ProfileError("this profile has no distance threshold: enrol at least two clips of each class")
            return replace(self, calibration=replace(now, min_cosine=now.strict_cosine))
        return self

    def save(self, path: str | Path) -> None:
        """Write the profile atomically; the file that it replaces is kept as `FILE.undo`. Missing folders are made.

        A link is followed. Only its owner can read a new file; a replaced file keeps its mode and owner. To read,
        change and save a profile without losing changes of another process, do so in `profile_lock(path)`.

        Raises:
            ProfileError: the existing file is not a profile, or not a regular file.
            WorkError: the file cannot be written, and an older profile is untouched; or another process is changing it.
        """
        path = given_path(path, "the profile", ProfileError)
        content = to_bytes({item.name: getattr(self, item.name) for item in fields(self)})
        check_is_profile(path)
        with profile_lock(path):
            sweep(path)
            undo = None
            with suppress(ProfileError, NotFoundError):  # a damaged profile is not kept for undo
                Profile.load(path)
                undo = undo_path(path)
            if undo and path.read_bytes() == content:
                return
            replace_file(path, content, undo=undo)

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile; `Engine.open_profile` also checks that it fits the bundle.

        Raises:
            NotFoundError: there is no such file.
            ProfileError: it is damaged, not a profile, or of a newer version.
        """
        path = given_path(path, "the profile", ProfileError)
        content = read_content(path)
        if not unfinished(behind_links(path)).is_file():
            with suppress(ProfileError):
                return cls._from_bytes(content, path)
        return cls._finished(path)

    @classmethod
    def _from_bytes(cls, content: bytes, path: Path) -> Profile:
        read = from_bytes(content, path)
        try:
            profile = cls(**read)
        except (LookupError, TypeError, ValueError) as error:  # missing rows, or not an array
            raise damaged(path) from error
        if not profile._is_valid():
            raise damaged(path)
        return profile

    @classmethod
    def _finished(cls, path: Path) -> Profile:
        """The profile after a running write in place has ended; an interrupted write is finished from its copy."""
        copy = unfinished(behind_links(path))
        with profile_lock(path):
            try:
                profile = cls._from_bytes(read_content(path), path)
                with suppress(OSError):
                    copy.unlink(missing_ok=True)
            except ProfileError:
                if not copy.is_file():
                    raise
                content = copy.read_bytes()
                profile = cls._from_bytes(content, path)
                with suppress(WorkError):  # the next open tries again
                    replace_file(path, content)
            return profile

    def _is_valid(self) -> bool:
        embeddings, others = self.embeddings, self.other_embeddings
        return bool(
            embeddings.dtype == np.float32
            and embeddings.ndim == 2
            and len(embeddings) == len(self.clips)
            and len(self.labels) >= 2
            and np.isfinite(embeddings).all()
            and (self.tuned is None or self.tuned.has_classes(len(self.labels)))
            and (0 if others is None else len(others)) == len(self.others)
            and (others is None or (others.shape[1:] == embeddings.shape[1:] and np.isfinite(others).all()))
        )


def undo(path: str | Path) -> None:
    """Restore the profile that was replaced last.

    Raises:
        NotFoundError: nothing was replaced.
        ProfileError: the copy is damaged, or the current file is not a profile or not a regular file.
        WorkError: the file cannot be written, or another process is changing it.
    """
    path = given_path(path, "the profile", ProfileError)
    check_is_profile(path)
    with profile_lock(path):
        copy = undo_path(path)
        if not os.path.lexists(copy):
            raise NotFoundError(f"nothing to undo: {copy} does not exist")
        sweep(path)
        Profile.load(copy)
        replace_file(path, copy.read_bytes())
        delete(copy)
