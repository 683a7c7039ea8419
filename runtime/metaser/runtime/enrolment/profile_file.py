"""The file of a profile on disk: recognising it, its undo copy, a write in place that was cut off, deleting it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from metaser.runtime.errors import NotFoundError, ProfileError, WorkError
from metaser.runtime.system.files import behind_links, leftovers, what_is_no_file
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.in_place import empty, unfinished
from metaser.runtime.system.locks import profile_lock
from metaser.runtime.system.os_errors import advice

FORMAT = "metaser-profile"
"""The key under which the header holds everything but the embeddings; it stands near the file's first byte."""

SIGNATURE_BYTES = 64


def read_content(path: Path) -> bytes:
    """The bytes of a profile.

    Raises:
        NotFoundError: there is no such file.
        ProfileError: it is no profile, or cannot be read.
    """
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
            delete(each)
        return found


def delete(path: Path) -> None:
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
