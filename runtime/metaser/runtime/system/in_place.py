"""Writing a file in place, if it cannot be renamed over, such as a bind-mounted profile.

A crash may interrupt such a write. So the content first goes to a copy next to the file, and the file begins with zeros
until the rest of it is on the disk: no reader accepts it as complete, and the next open restores it from the copy.
"""

from __future__ import annotations

import os
from pathlib import Path

from metaser.runtime.system.disk import flush, flush_folder, move_over

START_BYTES = 8
"""Number of first bytes of a file; while they are zero, the rest of it is incomplete."""


def unfinished(path: Path) -> Path:
    """Path of the copy of a file's content while the file is written in place."""
    return path.with_name(f".{path.name}.unfinished.tmp")


def overwrite(target: Path, new: Path) -> None:
    """Write the content of `new`, a finished file next to `target`, into `target`; `new` is consumed.

    Raises:
        OSError: it cannot be written; the older content is put back.
    """
    descriptor = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        before, content, copy = target.read_bytes(), new.read_bytes(), unfinished(target)
        move_over(new, copy)
        flush_folder(target.parent)
        try:
            _write(descriptor, content)
        except BaseException:
            _write(descriptor, before)  # if this fails too, the copy stays for the next open
            copy.unlink()
            raise
    finally:
        os.close(descriptor)
    copy.unlink()


def empty(path: Path) -> None:
    """Empty a file that cannot be deleted because it is a mount point.

    Raises:
        OSError: it cannot be written.
    """
    os.truncate(path, 0)
    flush(path)


def _write(descriptor: int, content: bytes) -> None:
    _write_part(descriptor, bytes(START_BYTES), 0)
    _write_part(descriptor, content[START_BYTES:], START_BYTES)
    _write_part(descriptor, content[:START_BYTES], 0)
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)


def _write_part(descriptor: int, part: bytes, offset: int) -> None:
    """Write a part to the disk; what follows it stays."""
    while part:
        written = os.pwrite(descriptor, part, offset)
        part, offset = part[written:], offset + written
    os.fsync(descriptor)
