"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from metaser.runtime.errors import WorkError


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` to a temporary sibling, flush it to the disk and rename it over `path`.

    Readable by its owner alone: profiles are personal.

    Raises:
        WorkError: the disk is full or the folder cannot be written; an older file is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise WorkError(f"cannot write {path} ({error.strerror}): free space or choose another place") from error
