"""The file of a profile on disk: recognising it, its undo copy, interrupted writes in place, deleting it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from metaser.runtime.errors import NotFoundError, ProfileError, WorkError
from metaser.runtime.system.command_line import command_line
from metaser.runtime.system.files import behind_links, leftovers, what_is_no_file
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.in_place import empty, unfinished
from metaser.runtime.system.locks import profile_lock
from metaser.runtime.system.os_errors import advice

FORMAT = "metaser-profile"
"""The key under which the header holds everything but the embeddings; it is near the start of the file."""

SIGNATURE_BYTES = 64


def read_content(path: Path) -> bytes:
    """The bytes of a profile.

    Raises:
        NotFoundError: there is no such file.
        ProfileError: it is not a profile, or cannot be read.
    """
    check_is_profile(path)
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"no profile at {path}: make one with `{command_line('enroll SUPPORT/')}`") from error
    except OSError as error:
        raise _cannot_read(path, error) from error


def _cannot_read(path: Path, error: OSError) -> ProfileError:
    hint = advice(error) or "give another file"
    return ProfileError(f"cannot read {path}: {error.strerror}; {hint}")


def check_is_profile(path: Path) -> None:
    """Raise ProfileError if something other than a profile exists there, so that a wrong path destroys no document.

    A named pipe or a device is not opened for this check.
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
    """Path of the profile that was replaced last: next to the file, or next to the target of a link."""
    path = behind_links(path)
    return path.with_name(path.name + ".undo")


def forget(path: str | Path) -> list[Path]:
    """Delete a profile, its undo copy and files of interrupted writes; return the deleted paths.

    If `path` is a link, its target is deleted, and then the link.

    Raises:
        NotFoundError: no file of this profile exists.
        ProfileError: the file is not a profile, or not a regular file.
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
    """Delete a file; a file that is a mount point is emptied instead."""
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
