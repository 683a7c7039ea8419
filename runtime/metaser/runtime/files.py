"""Writing a file or a folder whole or not at all."""

from __future__ import annotations

import os
import shutil
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


def replace_folder(folder: Path, new: Path) -> None:
    """Rename the finished sibling `new` to `folder`; an older folder of that name is removed last.

    A crash leaves the old folder whole, at worst under the name `.FOLDER.old`.

    Raises:
        OSError: the disk or the rights do not allow it.
    """
    for path in (*new.iterdir(), new):
        flush(path)
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Force a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
