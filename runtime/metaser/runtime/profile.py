"""A person's profile: the embeddings of their support clips, in one safetensors file.

Prototypes are derived, never stored: float64 means in the order of the clips' sha256, so any order of enrolling the
same clips gives the same bytes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from metaser.runtime.arrays import Embeddings, Prototypes
from metaser.runtime.decision import Calibration, prototype
from metaser.runtime.errors import NotFoundError, ProfileError
from metaser.runtime.files import replace_file
from metaser.runtime.tuned_head import TunedHead

FORMAT = "metaser-profile"
"""The key under which the header holds everything but the embeddings; it stands near the file's first byte."""

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

    tuned: TunedHead | None = None
    """A head tuned on these very clips; it is dropped where clips are added or removed."""

    def __post_init__(self) -> None:
        order = sorted(range(len(self.clips)), key=lambda row: self.clips[row])
        object.__setattr__(self, "clips", tuple(self.clips[row] for row in order))
        object.__setattr__(self, "embeddings", self.embeddings[order])
        if self.tuned and self.tuned.clips != tuple(clip.sha256 for clip in self.clips):
            object.__setattr__(self, "tuned", None)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    @cached_property
    def prototypes(self) -> Prototypes:
        """[C, E] unit rows in the order of `labels`."""
        clip_labels = np.array([clip.label for clip in self.clips])
        embeddings = self.tuned.embeddings if self.tuned else self.embeddings
        return np.stack([prototype(embeddings[clip_labels == label]) for label in self.labels])

    def save(self, path: str | Path) -> None:
        """Write the profile whole or not at all; what it replaces is kept as `FILE.undo`.

        Raises:
            ProfileError: the file that is there is no profile.
            WorkError: the file cannot be written; an older profile is untouched.
        """
        path = Path(path)
        check_is_profile(path)
        header = {
            "version": VERSION,
            "model_id": self.model_id,
            "graph_id": self.graph_id,
            "bundle_name": self.bundle_name,
            "calibration": asdict(self.calibration),
            "clips": [asdict(clip) for clip in self.clips],
            "tuned": self.tuned.header() if self.tuned else None,
        }
        tensors = {"embeddings": self.embeddings, **(self.tuned.tensors() if self.tuned else {})}
        content = save(tensors, {FORMAT: json.dumps(header, sort_keys=True)})
        previous = path.read_bytes() if path.is_file() else None
        if previous == content:
            return
        if previous is not None:
            with suppress(ProfileError):  # a damaged one is not worth going back to
                Profile.load(path)
                replace_file(undo_path(path), previous)
        replace_file(path, content)

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile; `Engine.open_profile` also checks that it fits the bundle.

        Raises:
            NotFoundError: there is no such file.
            ProfileError: it is damaged, no profile, or of a newer version.
        """
        path = Path(path)
        if not path.is_file():
            raise NotFoundError(f"no profile at {path}: make one with `metaser enroll SUPPORT/`")
        check_is_profile(path)
        content = path.read_bytes()
        try:
            tensors = load(content)
            header = json.loads(_metadata(content)[FORMAT])
            if header["version"] != VERSION:
                raise ProfileError(
                    f"{path} is of version {header['version']} and this metaser reads {VERSION}: update metaser"
                )
            profile = cls(
                model_id=str(header["model_id"]),
                graph_id=str(header["graph_id"]),
                bundle_name=str(header["bundle_name"]),
                calibration=Calibration(**{key: float(value) for key, value in header["calibration"].items()}),
                clips=tuple(Clip(**{key: str(value) for key, value in clip.items()}) for clip in header["clips"]),
                embeddings=tensors["embeddings"],
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
    tuned = TunedHead.read(header, tensors)
    if not tuned.is_sound([clip.sha256 for clip in profile.clips]):
        raise ValueError("the tuned head does not fit the clips")
    return tuned


def _sound(profile: Profile) -> bool:
    embeddings = profile.embeddings
    calibration = profile.calibration
    return bool(
        embeddings.dtype == np.float32
        and embeddings.ndim == 2
        and len(embeddings) == len(profile.clips)
        and len(profile.labels) >= 2
        and np.isfinite(embeddings).all()
        and np.isfinite([calibration.temperature, calibration.threshold, calibration.margin]).all()
        and calibration.temperature > 0
    )


def check_is_profile(path: Path) -> None:
    """Raise ProfileError where a file is there that is no profile, so that a wrong path costs nobody a document."""
    if path.is_dir():
        raise ProfileError(f"{path} is a folder: give a file for the profile")
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(SIGNATURE_BYTES)
        if start and FORMAT.encode() not in start:
            raise ProfileError(f"{path} is not a metaser profile: choose another file")


def undo_path(path: Path) -> Path:
    """Where the profile that was replaced last is kept."""
    return path.with_name(path.name + ".undo")


def undo(path: str | Path) -> None:
    """Put back the profile that was replaced last.

    Raises:
        NotFoundError: nothing was replaced.
        ProfileError: the copy is damaged, or a file that is no profile stands in its way.
    """
    path = Path(path)
    if not undo_path(path).is_file():
        raise NotFoundError(f"nothing to undo: {undo_path(path)} does not exist")
    check_is_profile(path)
    Profile.load(undo_path(path))
    undo_path(path).replace(path)


def forget(path: str | Path) -> list[Path]:
    """Delete a profile, its undo copy and what an interrupted write left; the paths that were deleted.

    Raises:
        NotFoundError: there is nothing of this profile.
        ProfileError: the file is no profile.
    """
    path = Path(path)
    check_is_profile(path)
    leftovers = path.parent.glob(f".{escape(path.name)}.*.tmp") if path.parent.is_dir() else ()
    found = [file for file in (path, undo_path(path), *leftovers) if file.is_file()]
    if not found:
        raise NotFoundError(f"no profile at {path}: nothing to forget")
    for file in found:
        file.unlink()
    return found
