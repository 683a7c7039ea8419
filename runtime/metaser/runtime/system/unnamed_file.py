"""A temporary file without a name, which a killed process leaves nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, NamedTuple

DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux shows the open files of a process; opening one there opens the file once more."""


class UnnamedFile(NamedTuple):
    """A file to write to, and a path at which this process can open it again."""

    file: IO[bytes]
    path: Path


@contextmanager
def unnamed_file() -> Iterator[UnnamedFile]:
    """A temporary file until the block ends.

    Without `DESCRIPTORS` the file has a name in the folder for temporary files.
    """
    if DESCRIPTORS.is_dir():
        with TemporaryFile() as file:
            yield UnnamedFile(file, DESCRIPTORS / str(file.fileno()))
    else:
        with NamedTemporaryFile(prefix="metaser-") as named:
            yield UnnamedFile(named, Path(named.name))
