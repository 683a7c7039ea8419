"""The profiles of a server: files in one folder, found by name; a change of any process is seen at the next request."""

from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from metaser.runtime import Engine, Profile, forget, profile_lock
from metaser.runtime.enrolment.embed import EmbeddedClips
from metaser.runtime.enrolment.labels import tidy
from metaser.runtime.errors import InputError, MetaserError, NotFoundError
from metaser.serve.answers import RefusedError

SUFFIX = ".safetensors"
LONGEST_NAME = 64
BESIDE_LETTERS = frozenset(" -_.")

Signature = tuple[int, int, int]


def check_name(name: str) -> str:
    """A profile's name: letters and digits of any script, spaces, `-`, `_` and `.`; it is never a path.

    Raises:
        InputError: it is another text.
    """
    tidied = tidy(name)
    is_valid = (
        0 < len(tidied) <= LONGEST_NAME
        and not tidied.startswith((".", "-"))
        and all(sign in BESIDE_LETTERS or unicodedata.category(sign)[0] in "LMN" for sign in tidied)
    )
    if not is_valid or len(os.fsencode(tidied + SUFFIX)) > 200:
        raise InputError(
            f"a profile cannot have this name: give 1 to {LONGEST_NAME} letters, digits, spaces, - _ and ., beginning "
            "with a letter or digit"
        )
    return tidied


class Profiles:
    """The folder of profiles; safe to use from several threads."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self._folder, self._engine = folder, engine
        self._known: dict[str, tuple[Signature, Profile]] = {}
        self._lock = threading.Lock()

    def path(self, name: str) -> Path:
        """The file of a profile, which need not exist.

        Raises:
            InputError: it is no name of a profile.
        """
        return self._folder / f"{check_name(name)}{SUFFIX}"

    def names(self) -> list[str]:
        """The profiles in the folder, sorted."""
        found = []
        for path in self._folder.glob(f"*{SUFFIX}"):
            name = path.name.removesuffix(SUFFIX)
            try:
                if check_name(name) == name and path.is_file():
                    found.append(name)
            except (InputError, OSError):  # another file
                continue
        return sorted(found)

    def only_name(self) -> str:
        """The name of the single profile.

        Raises:
            InputError: there is none, or there are several.
        """
        names = self.names()
        if len(names) != 1:
            which = f"one of {', '.join(names)}" if names else "enrol one first"
            raise InputError(f"which profile? there are {len(names)}: {which}")
        return names[0]

    def get(self, name: str | None) -> Profile:
        """A profile, read again if its file has changed; without a name, the single one.

        Raises:
            NotFoundError: there is no such profile.
            InputError: no name was given and there is not exactly one profile.
            ProfileError: it is damaged, or of another bundle.
        """
        name = self.only_name() if name is None else check_name(name)
        path = self.path(name)
        try:
            found = path.stat()
        except OSError:
            raise NotFoundError(f"there is no profile {name}") from None
        signature = (found.st_mtime_ns, found.st_size, found.st_ino)
        with self._lock:
            known = self._known.get(name)
        if known is not None and known[0] == signature:
            return known[1]
        try:
            profile = self._engine.open_profile(path)
        except MetaserError as error:
            raise without_place(error, str(path), f"the profile {name}") from error
        with self._lock:
            self._known[name] = (signature, profile)
        return profile

    def describe(self) -> list[dict[str, object]]:
        """Name, classes and clips of each profile, and why it cannot be used if so."""
        return [self._description(name) for name in self.names()]

    def _description(self, name: str) -> dict[str, object]:
        try:
            profile = self.get(name)
        except MetaserError as error:
            return {"name": name, "labels": [], "clips": 0, "problem": str(error)}
        return {"name": name, "labels": list(profile.labels), "clips": len(profile.clips), "problem": None}

    def enroll(self, name: str, clips: EmbeddedClips, *, replaces: bool) -> Profile:
        """Write a new profile of clips.

        Raises:
            RefusedError: there is a profile of this name, and it is not to be replaced.
            MetaserError: it cannot be written.
        """
        from metaser.runtime.enrolment.changes import new_profile

        path = self.path(name)
        profile = new_profile(self._engine.model, without_paths(clips))
        with profile_lock(path):
            if not replaces:
                self.check_free(name)
            profile.save(path)
        return profile

    def check_free(self, name: str) -> None:
        """Raise RefusedError if there is a profile of this name."""
        if self.path(name).exists():
            raise RefusedError(
                HTTPStatus.CONFLICT, "exists", f"there is a profile {name}: add clips to it, or send ?replace=true"
            )

    def add(self, name: str, clips: EmbeddedClips) -> Profile:
        """Add clips to a profile.

        Raises:
            MetaserError: as `Engine.add`, or it cannot be written.
        """
        return self._change(name, lambda profile: self._engine.add(profile, without_paths(clips)))

    def remove(self, name: str, what: str) -> Profile:
        """Remove a class, `LABEL`, or a clip, `LABEL/CLIP`.

        Raises:
            MetaserError: as `Engine.remove`, or it cannot be written.
        """
        return self._change(name, lambda profile: self._engine.remove(profile, what))

    def calibrate(self, name: str, false_accepts: float | None) -> Profile:
        """Set the limit of false accepts; None: as enrolment does.

        Raises:
            MetaserError: as `Engine.calibrate`, or it cannot be written.
        """
        return self._change(name, lambda profile: self._engine.calibrate(profile, false_accepts=false_accepts))

    def forget(self, name: str) -> None:
        """Delete a profile and its older copy.

        Raises:
            NotFoundError: there is no such profile.
            MetaserError: it cannot be deleted.
        """
        path = self.path(name)
        if not path.exists():
            raise NotFoundError(f"there is no profile {check_name(name)}")
        forget(path)
        with self._lock:
            self._known.pop(check_name(name), None)

    def _change(self, name: str, by: Callable[[Profile], Profile]) -> Profile:
        """Read, change and save a profile, so that no change of another process is lost."""
        path = self.path(name)
        with profile_lock(path):
            profile = by(self.get(name))
            profile.save(path)
        return profile


def without_place(error: MetaserError, place: str, name: str) -> MetaserError:
    """The error with a name instead of a path of this machine, which a client cannot use."""
    return type(error)(str(error).replace(place, name))


def without_paths(clips: EmbeddedClips) -> EmbeddedClips:
    """Uploaded clips, whose files are gone when the request is answered."""
    return replace(clips, clips=tuple(replace(clip, path="") for clip in clips.clips))
