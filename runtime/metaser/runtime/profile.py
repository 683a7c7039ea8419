"""A person's profile: the embeddings of their support clips, in one safetensors file.

Prototypes are derived, never stored: float64 means in the order of the clips' sha256, so any order of enrolling the
same clips gives the same bytes.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from metaser.runtime.arrays import Embeddings, HeadParameters, Prototypes
from metaser.runtime.calibration import Reliability
from metaser.runtime.clip_quality import ClipQuality
from metaser.runtime.cross_fitting import CrossFitted, cross_fit, fitted_by_fold
from metaser.runtime.decision import Calibration, prototype
from metaser.runtime.errors import NotFoundError, ProfileError, SupportError, WorkError
from metaser.runtime.files import behind_links, leftovers, replace_file, sweep, what_is_no_file
from metaser.runtime.given_path import given_path
from metaser.runtime.in_place import empty, unfinished
from metaser.runtime.labels import tidy
from metaser.runtime.locks import profile_lock
from metaser.runtime.os_errors import advice
from metaser.runtime.strict_json import finite, read_json_text

if TYPE_CHECKING:
    from metaser.runtime.tuned_head import TunedHead

FORMAT = "metaser-profile"
"""The key under which the header holds everything but the embeddings; it stands near the file's first byte."""

Unknown: TypeAlias = Literal["off", "calibrated", "strict"]

VERSION = 1
SIGNATURE_BYTES = 64


@dataclass(frozen=True, order=True)
class Clip:
    """Where one row of a profile's embeddings came from."""

    label: str
    sha256: str
    """Of the file's bytes, or of the float32 samples where an array was enrolled."""

    name: str
    path: str
    """Absolute path at enrolment; empty for an array."""

    group: str = ""
    """Folder between the label's folder and the clip, for several takes, places or microphones."""

    copies: tuple[str, ...] = field(default=(), compare=False)
    """Names of files with the same content in the same class; they count once."""

    quality: ClipQuality | None = field(default=None, compare=False)
    """What was measured at enrolment; None in profiles of before."""

    @property
    def title(self) -> str:
        """Label, group and name, as `metaser enroll --remove` takes them."""
        return "/".join(part for part in (self.label, self.group, self.name) if part)


@dataclass(frozen=True)
class Profile:
    """The enrolled clips of one person or task, bound to the bundle that embedded them."""

    model_id: str
    graph_id: str
    bundle_name: str
    calibration: Calibration
    clips: tuple[Clip, ...]
    """Sorted by label and sha256."""

    embeddings: Embeddings
    """[M, E] by the untuned head, one row a clip, in the order of `clips`."""

    reliability: Reliability = field(default_factory=Reliability)
    others: tuple[Clip, ...] = ()
    """Other speech and noise that `metaser calibrate` was given, without labels."""

    other_embeddings: Embeddings | None = None
    """[O, E] by the head in force, one row a clip of `others`; None where there are none."""

    tuned: TunedHead | None = None
    """A head tuned on these very clips; it is dropped where clips are added or removed."""

    def __post_init__(self) -> None:
        order = sorted(range(len(self.clips)), key=lambda row: self.clips[row])
        object.__setattr__(self, "clips", tuple(self.clips[row] for row in order))
        object.__setattr__(self, "embeddings", self.embeddings[order])
        if self.tuned and self.tuned.clips != tuple(clip.sha256 for clip in self.clips):
            object.__setattr__(self, "tuned", None)
            object.__setattr__(self, "others", ())  # they were embedded by that head
            object.__setattr__(self, "other_embeddings", None)
        if self.other_embeddings is not None and not len(self.other_embeddings):
            object.__setattr__(self, "other_embeddings", None)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    @cached_property
    def targets(self) -> npt.NDArray[np.int64]:
        """[M] the position of each clip's class in `labels`."""
        number = {label: number for number, label in enumerate(self.labels)}  # NumPy's text loses zeros at its end
        return np.array([number[clip.label] for clip in self.clips], np.int64)

    @cached_property
    def prototypes(self) -> Prototypes:
        """[C, E] unit rows in the order of `labels`."""
        return np.stack([prototype(self.embedded[self.targets == number]) for number in range(len(self.labels))])

    @property
    def embedded(self) -> Embeddings:
        """[M, E] the clips by the head in force, the tuned one or the bundle's own."""
        return self.tuned.embeddings if self.tuned else self.embeddings

    @property
    def head(self) -> HeadParameters | None:
        """The parameters of the tuned head; None if the bundle's own head is in force."""
        return self.tuned.parameters if self.tuned else None

    def scale(self, of_bundle: float) -> float:
        """The factor on cosines of the head in force: the tuned one's, or that of the bundle's own."""
        return self.tuned.scale if self.tuned else of_bundle

    @cached_property
    def cross_fitted(self) -> CrossFitted:
        """The clips against prototypes, and a tuned head, that have not seen them."""
        if self.tuned:
            return fitted_by_fold(self.tuned.cross_fitted, self.targets, len(self.labels))
        return cross_fit(self.embeddings, self.targets)

    def with_clips(self, clips: Sequence[Clip], embeddings: Embeddings) -> Profile:
        """This profile and more clips; one that is enrolled already counts once, at its newer path.

        Raises:
            SupportError: a recording is enrolled in another class.
        """
        before = [with_tidy_label(clip) for clip in self.clips]
        enrolled = {clip.sha256: clip for clip in before}
        for clip in clips:
            twin = enrolled.get(clip.sha256)
            if twin and twin.label != clip.label:
                raise SupportError(
                    f"{clip.title} is enrolled as {twin.title}: remove it there first, "
                    f"metaser enroll --remove {twin.title}"
                )
        new = {clip.sha256 for clip in clips}
        kept = [row for row, clip in enumerate(before) if clip.sha256 not in new]
        return replace(
            self,
            clips=(*(before[row] for row in kept), *clips),
            embeddings=np.concatenate([self.embeddings[kept], embeddings]),
        )

    def without(self, what: str) -> Profile:
        """This profile without a class, `LABEL`, or one clip of it: `LABEL/NAME`, `LABEL/GROUP/NAME`, `LABEL/SHA256`.

        Unicode's form and outer white space do not matter, unless two classes differ in them.

        Raises:
            SupportError: there is no such class or clip, it is the name of both, or fewer than two classes would be
                left.
        """
        gone = self._rows_named(what)
        if not gone:
            label = what.partition("/")[0]
            own = [clip.title for clip in self.clips if clip.label == label]
            raise SupportError(f"no clip {what} is enrolled: there are {', '.join(own or self.labels)}")
        kept = [row for row in range(len(self.clips)) if row not in gone]
        left = sorted({self.clips[row].label for row in kept})
        if len(left) < 2:
            raise SupportError(
                f"without {what} {' and '.join(left) or 'nothing'} would be left and at least two classes are needed: "
                "add another class first, or delete the profile with `metaser forget`"
            )
        return replace(self, clips=tuple(self.clips[row] for row in kept), embeddings=self.embeddings[kept])

    def _rows_named(self, what: str) -> set[int]:
        """The rows of a class or of a clip, exactly as it is called before as it may be typed."""
        if not isinstance(what, str):
            raise SupportError(f"{what!r} is {type(what).__name__}: give the label as text")
        for form in (str, _typed):
            of_class = {row for row, clip in enumerate(self.clips) if form(clip.label) == form(what)}
            of_clip = {row for row, clip in enumerate(self.clips) if form(what) in map(form, _names(clip))} - of_class
            if of_class and of_clip:
                raise SupportError(
                    f"{what} is a class and a clip of another: name the clip LABEL/SHA256, as "
                    "`metaser enroll --report --json` shows it, or rename the class"
                )
            if of_class or of_clip:
                return of_class or of_clip
        return set()

    def without_others(self) -> Profile:
        """This profile without what it holds of other speech and noise."""
        return replace(self, others=(), other_embeddings=None)

    def answering(self, unknown: Unknown) -> Profile:
        """This profile with another idea of when to say that it does not know.

        `off`: always a label. `calibrated`: as calibrated. `strict`: about 1 in 20 clips of no enrolled class pass.

        Raises:
            ProfileError: the profile was never calibrated for `strict`.
        """
        now = self.calibration
        if unknown == "off":
            return replace(self, calibration=Calibration(now.temperature))
        if unknown == "strict":
            if now.strict_cosine <= -1:
                raise ProfileError(
                    "this profile does not know how near is near: enrol at least two clips of each class, and "
                    "calibrate a profile of before with `metaser calibrate --false-accepts 0.05`"
                )
            return replace(self, calibration=replace(now, min_cosine=now.strict_cosine))
        return self

    def save(self, path: str | Path) -> None:
        """Write the profile whole or not at all; what it replaces is kept as `FILE.undo`.

        A link is followed. A new file is for its owner alone, and one that is replaced keeps its mode and owner. To
        read a profile, change it and save it with no change of another process lost, do so in `profile_lock(path)`.

        Raises:
            ProfileError: what is there is no profile, or no regular file.
            WorkError: the file cannot be written, and an older profile is untouched; or another process is changing it.
        """
        path = given_path(path, "the profile", ProfileError)
        header = {
            "version": VERSION,
            "model_id": self.model_id,
            "graph_id": self.graph_id,
            "bundle_name": self.bundle_name,
            "calibration": asdict(self.calibration),
            "reliability": asdict(self.reliability),
            "clips": [asdict(clip) for clip in self.clips],
            "others": [asdict(clip) for clip in self.others],
            "tuned": self.tuned.header() if self.tuned else None,
        }
        tensors = {"embeddings": self.embeddings, **(self.tuned.tensors() if self.tuned else {})}
        if self.other_embeddings is not None:
            tensors["others"] = self.other_embeddings
        content = save(tensors, {FORMAT: json.dumps(header, sort_keys=True)})
        check_is_profile(path)
        with profile_lock(path):
            sweep(path)
            undo = None
            with suppress(ProfileError, NotFoundError):  # a damaged one is not worth going back to
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
            ProfileError: it is damaged, no profile, or of a newer version.
        """
        path = given_path(path, "the profile", ProfileError)
        content = _content(path)
        if not unfinished(behind_links(path)).is_file():
            with suppress(ProfileError):
                return _read(content, path)
        return _settled(path)


def _content(path: Path) -> bytes:
    check_is_profile(path)
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"no profile at {path}: make one with `metaser enroll SUPPORT/`") from error
    except OSError as error:
        raise _cannot_read(path, error) from error


def _cannot_read(path: Path, error: OSError) -> ProfileError:
    hint = advice(error) or "give another file"
    return ProfileError(f"cannot read {path}: {error.strerror}; {hint}")


def _settled(path: Path) -> Profile:
    """The profile, after the end of a write in place that goes on; one that was cut is finished from its copy."""
    copy = unfinished(behind_links(path))
    with profile_lock(path):
        try:
            profile = _read(_content(path), path)
            with suppress(OSError):
                copy.unlink(missing_ok=True)
        except ProfileError:
            if not copy.is_file():
                raise
            content = copy.read_bytes()
            profile = _read(content, path)
            with suppress(WorkError):  # then the next open tries it again
                replace_file(path, content)
        return profile


def _read(content: bytes, path: Path) -> Profile:
    """The profile that a file's bytes are; `path` is for messages."""
    try:
        tensors = load(content)
        header = read_json_text(_metadata(content)[FORMAT])
        if header["version"] != VERSION:
            raise ProfileError(
                f"{path} is of version {header['version']} and this metaser reads {VERSION}: update metaser"
            )
        profile = Profile(
            model_id=str(header["model_id"]),
            graph_id=str(header["graph_id"]),
            bundle_name=str(header["bundle_name"]),
            calibration=Calibration(**{key: finite(value) for key, value in header["calibration"].items()}),
            clips=tuple(_read_clip(clip) for clip in header["clips"]),
            embeddings=tensors["embeddings"],
            reliability=Reliability(**_numbers(header.get("reliability", {}))),
            others=tuple(_read_clip(clip) for clip in header.get("others", ())),
            other_embeddings=tensors.get("others"),
        )
        if header.get("tuned") is not None:
            profile = replace(profile, tuned=_read_tuned(header["tuned"], tensors, profile))
    except (
        SafetensorError,
        TypeError,
        AttributeError,
        ValueError,
        LookupError,
        OverflowError,
        RecursionError,
    ) as error:
        if isinstance(error, ProfileError):
            raise
        raise ProfileError(f"{path} is damaged: enrol again, or go back with `metaser enroll --undo`") from error
    if not _sound(profile):
        raise ProfileError(f"{path} is damaged: enrol again, or go back with `metaser enroll --undo`")
    return profile


def _metadata(content: bytes) -> dict[str, str]:
    """The header's metadata; the library's own reader gives it for paths only."""
    size = int.from_bytes(content[:8], "little")
    metadata: dict[str, Any] = json.loads(content[8 : 8 + size])["__metadata__"]
    return metadata


def _read_tuned(header: dict[str, Any], tensors: dict[str, npt.NDArray[Any]], profile: Profile) -> TunedHead:
    from metaser.runtime.tuned_head import TunedHead

    tuned = TunedHead.read(header, tensors)
    if not tuned.is_sound([clip.sha256 for clip in profile.clips]):
        raise ValueError("the tuned head does not fit the clips")
    return tuned


def _read_clip(values: Mapping[str, Any]) -> Clip:
    quality = values.get("quality")
    texts = {key: str(value) for key, value in values.items() if key not in ("copies", "quality")}
    return Clip(
        **texts,
        copies=tuple(str(name) for name in values.get("copies", ())),
        quality=ClipQuality(**{key: finite(value) for key, value in quality.items()}) if quality else None,
    )


def _numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: None if value is None else finite(value) for key, value in values.items()}


def with_tidy_label(clip: Clip) -> Clip:
    """The clip of a profile made before labels were tidied, as it is enrolled now."""
    return replace(clip, label=tidy(clip.label) or clip.label)


def _names(clip: Clip) -> tuple[str, ...]:
    """What a clip is called."""
    return clip.title, f"{clip.label}/{clip.name}", f"{clip.label}/{clip.sha256}"


def _typed(name: str) -> str:
    """A name of a class or clip in the form in which differences of typing are gone."""
    return "/".join(tidy(part) for part in name.rstrip("/").split("/"))


def _sound(profile: Profile) -> bool:
    embeddings, others = profile.embeddings, profile.other_embeddings
    return bool(
        embeddings.dtype == np.float32
        and embeddings.ndim == 2
        and len(embeddings) == len(profile.clips)
        and len(profile.labels) >= 2
        and np.isfinite(embeddings).all()
        and (profile.tuned is None or profile.tuned.has_classes(len(profile.labels)))
        and (0 if others is None else len(others)) == len(profile.others)
        and (others is None or (others.shape[1:] == embeddings.shape[1:] and np.isfinite(others).all()))
        and profile.calibration.is_sound
    )


def check_others(others: Sequence[Clip], profile: Profile) -> None:
    """Raise SupportError where a clip of other speech is enrolled as a class."""
    enrolled = {clip.sha256: clip.title for clip in profile.clips}
    if both := [clip for clip in others if clip.sha256 in enrolled]:
        raise SupportError(
            f"{both[0].name} is enrolled as {enrolled[both[0].sha256]} and cannot be other speech too: "
            "take it out of one of the two"
        )


def check_is_profile(path: Path) -> None:
    """Raise ProfileError if something is there that is no profile, so that a wrong path costs nobody a document.

    A named pipe or a device is not opened for that.
    """
    if found := what_is_no_file(path):
        raise ProfileError(f"{path} is {found}: give a file for the profile")
    try:
        with path.open("rb") as file:
            start = file.read(SIGNATURE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _cannot_read(path, error) from error
    if start and FORMAT.encode() not in start and not unfinished(behind_links(path)).is_file():
        raise ProfileError(f"{path} is not a metaser profile: choose another file")


def undo_path(path: Path) -> Path:
    """Where the profile that was replaced last is kept: beside the file, or beside the one that a link leads to."""
    path = behind_links(path)
    return path.with_name(path.name + ".undo")


def undo(path: str | Path) -> None:
    """Put back the profile that was replaced last.

    Raises:
        NotFoundError: nothing was replaced.
        ProfileError: the copy is damaged, or what stands in its way is no profile or no regular file.
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
        _delete(copy)


def forget(path: str | Path) -> list[Path]:
    """Delete a profile, its undo copy and what an interrupted write left; the paths that were deleted.

    If `path` is a link, the file that it leads to is deleted, and then the link.

    Raises:
        NotFoundError: there is nothing of this profile.
        ProfileError: what is there is no profile, or no regular file.
        WorkError: a file cannot be deleted, or another process is changing the profile.
    """
    path = given_path(path, "the profile", ProfileError)
    file = behind_links(path)
    check_is_profile(file)
    with profile_lock(path):
        found = [each for each in (*leftovers(path), undo_path(path), file) if os.path.lexists(each)]
        if path != file and found:
            found.append(path)
        if not found:
            raise NotFoundError(f"no profile at {path}: nothing to forget")
        for each in found:
            _delete(each)
        return found


def _delete(path: Path) -> None:
    """Delete a file; one that is a mount of its own is emptied."""
    try:
        try:
            path.unlink()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            empty(path)
    except OSError as error:
        hint = advice(error) or "delete it yourself"
        raise WorkError(f"cannot delete {path}: {error.strerror}; {hint}") from error
