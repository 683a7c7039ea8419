"""Preparing a new file to replace another one: flushing it to the disk, and copying the permissions."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def move_over(path: Path, to: Path) -> None:
    """Rename a file, replacing an existing one."""
    os.replace(path, to)  # noqa: PTH105 # pathlib of Python 3.10 keeps a function of its own, which tests cannot replace


def flush(path: Path) -> None:
    """Force a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Force a finished rename to the disk, if the folder is readable and its file system supports it."""
    with suppress(OSError):
        flush(folder)


def take_over(new: Path, old: Path) -> bool:
    """Give `new` the owner, group, mode and access list of `old`; return whether this user may.

    If the group cannot be kept, the group gets no permissions.
    """
    theirs, own = old.stat(), new.stat()
    try:
        if (own.st_uid, own.st_gid) != (theirs.st_uid, theirs.st_gid):
            os.chown(new, theirs.st_uid, theirs.st_gid)
        kept = True
    except PermissionError:
        kept = False
        with suppress(PermissionError):
            os.chown(new, -1, theirs.st_gid)
    if new.stat().st_gid == theirs.st_gid:
        set_mode(new, stat.S_IMODE(theirs.st_mode))
        _copy_attributes(old, new)
    else:
        set_mode(new, stat.S_IMODE(theirs.st_mode) & ~stat.S_IRWXG)
    return kept


def set_mode(path: Path, mode: int) -> None:
    """Set a file's mode if it differs: some file systems have one mode for all files and refuse."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _copy_attributes(old: Path, new: Path) -> None:
    """Copy the extended attributes, including the access list, as far as the system supports and allows it."""
    with suppress(OSError, AttributeError):
        for name in os.listxattr(old):
            with suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))
