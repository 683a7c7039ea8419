"""Writing a folder of several files atomically.

Next to a folder NAME there may be

    .NAME.new    what is being written
    .NAME.old    the older folder, while the new one takes its place

Only a killed process leaves one of them; `recover` cleans up before the next write.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaser.runtime.errors import InputError, WorkError
from metaser.runtime.system.disk import flush, flush_folder, take_over
from metaser.runtime.system.files import what_is_no_file
from metaser.runtime.system.os_errors import cannot_write


@contextmanager
def replacing_folder(folder: Path, what: object = None) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` when the block ends; if the block fails, nothing changes.

    Parameters:
        what: its name in messages, by default its path.

    Raises:
        InputError: what is at `folder` is not a folder.
        WorkError: it cannot be written.
    """
    what = what or folder
    found = what_is_no_file(folder)
    if found not in (None, "a folder") or folder.is_file():
        raise InputError(f"{folder} is {found or 'a file'}: choose another path")
    folder = Path(os.path.realpath(folder))
    new = folder.with_name(f".{folder.name}.new")
    try:
        try:
            recover(folder)
            new.mkdir(parents=True)
        except OSError as error:
            raise cannot_write(what, error) from error
        try:
            yield new
        except WorkError as error:
            if isinstance(error.__cause__, OSError):  # from a file in it
                raise cannot_write(what, error.__cause__) from error
            raise
        try:
            replace_folder(folder, new)
        except OSError as error:
            raise cannot_write(what, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def recover(folder: Path) -> None:
    """Clean up after a killed write of `folder`: restore the old folder if no new one took its place.

    Raises:
        OSError: the disk or the permissions do not allow it.
    """
    new, old = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
    if old.is_dir() and not os.path.lexists(folder):
        old.rename(folder)
    for each in (new, old):
        shutil.rmtree(each, ignore_errors=True)


def replace_folder(folder: Path, new: Path) -> None:
    """Rename the finished sibling `new` to `folder`; an older folder of that name is removed last.

    The older folder's mode and owner are kept, as far as this user may. After a crash the old folder is complete, at
    worst under the name `.FOLDER.old`.

    Raises:
        OSError: the disk or the permissions do not allow it.
    """
    for path in (*new.rglob("*"), new):
        flush(path)
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        take_over(new, folder)
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    flush_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
