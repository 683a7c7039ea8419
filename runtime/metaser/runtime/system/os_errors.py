"""Advice for errors of the operating system: one phrase per error number, for reading and for writing."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Literal

from metaser.runtime.errors import NotFoundError, WorkError

RIGHTS = "check the permissions of the file and of its folder, or choose another place"
SPACE = "free space or choose another place"

ADVICE = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: f"your quota is used up: {SPACE}",
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: "choose a writable place, or mount this one for writing",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOTDIR: "a part of the path is a file and not a folder: choose another place",
    errno.EISDIR: "it is a folder: give a file",
    errno.EEXIST: "a file is in the way: choose another place",
    errno.ENOENT: "a folder of the path does not exist: make it, or choose another place",
    errno.ELOOP: "its links lead back to themselves: give the file itself",
    errno.EBUSY: "it is in use or a mount point: choose another place",
    errno.EMFILE: "too many files are open: raise the limit with `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine: close some programs",
    errno.EFBIG: "the file system, or `ulimit -f`, allows no file of this size: choose another place",
    errno.EIO: "the disk or its connection fails: check it, and choose another place",
    errno.ESTALE: "the network folder is gone: mount it again",
    errno.ENOMEM: "too little memory: close some programs",
}
"""By `errno`."""


def advice(error: OSError) -> str | None:
    """Advice for the error, as the end of a sentence; None if there is none."""
    return ADVICE.get(error.errno or 0)


def cannot_write(what: object, error: OSError) -> WorkError:
    """The error to raise when `what`, a path or a thing and its path, cannot be written."""
    return WorkError(f"cannot write {what}: {error.strerror or error}; {advice(error) or 'choose another place'}")


def not_found(path: Path, wanted: Literal["file", "folder"]) -> NotFoundError:
    """The error to raise when `path` is not of the wanted kind, or does not exist."""
    if not path.exists():
        return NotFoundError(f"no such {wanted}: {path}")
    found = "a folder" if path.is_dir() else "a file" if path.is_file() else "a device, a pipe or a socket"
    return NotFoundError(f"{path} is {found}: give a {wanted}")
