"""A temporary file without a name, which a killed process leaves nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO

DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux shows the open files of a process; opening one there opens the file once more."""


@contextmanager
def unnamed_file() -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write to, and a path at which this process can open it again until the block ends.

    Without `DESCRIPTORS` the file has a name in the folder for temporary files.
    """
    if DESCRIPTORS.is_dir():
        with TemporaryFile() as file:
            yield file, DESCRIPTORS / str(file.fileno())
    else:
        with NamedTemporaryFile(prefix="metaser-") as named:
            yield named, Path(named.name)
