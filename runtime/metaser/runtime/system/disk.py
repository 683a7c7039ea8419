"""What a new file needs before it may take the place of another one: to be on the disk, and to have its rights."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def move_over(path: Path, to: Path) -> None:
    """Rename a file, over another one if that is there."""
    os.replace(path, to)  # noqa: PTH105 # pathlib of Python 3.10 keeps a function of its own, which tests cannot replace


def flush(path: Path) -> None:
    """Force a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Force a rename, which is done already, to the disk, if the folder can be read and its file system knows how."""
    with suppress(OSError):
        flush(folder)


def take_over(new: Path, old: Path) -> bool:
    """Give `new` the owner, group, mode and access list of `old`; whether this user may.

    If the group cannot be kept, no group gets any right.
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
    """Set a file's mode, if it is another one: some file systems have one mode for all files and refuse."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _copy_attributes(old: Path, new: Path) -> None:
    """Copy the extended attributes, of which an access list is one, as far as the system has and allows them."""
    with suppress(OSError, AttributeError):
        for name in os.listxattr(old):
            with suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))
