"""Writing the files of metaser: only this module and `in_place` open files for writing.

Files are written atomically. Next to a file NAME there may be

    .NAME.RANDOM.tmp        what is being written; only a killed process leaves it, and `sweep` deletes it
    .NAME.unfinished.tmp    the content of a file that is being written in place, see `in_place`
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO, Literal

from metaser.runtime.errors import InputError, MetaserError
from metaser.runtime.system.disk import flush, flush_folder, move_over, set_mode, take_over
from metaser.runtime.system.in_place import overwrite, unfinished
from metaser.runtime.system.os_errors import cannot_write

PERSONAL = 0o600
"""The mode of new files with personal data: only their owner may read them."""

SHARED = 0o666
"""The mode of new files for sharing, such as bundles and results, before the umask."""

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
NO_RENAME = (errno.EBUSY, errno.EXDEV)
"""The error of renaming over a file that is a mount point."""

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""The name of any file that is being written, `.NAME.RANDOM.tmp`."""

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def behind_links(path: Path) -> Path:
    """The target of a link; the path itself if it is not a link."""
    return Path(os.path.realpath(path)) if _is_link(path) else path


def _is_link(path: Path) -> bool:
    return os.path.islink(path)  # noqa: PTH114 # pathlib raises if the folder cannot be read


def what_is_no_file(path: Path) -> str | None:
    """A name such as "a folder" for what is at `path`; None for a regular file, a link to one, or nothing."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"a link to {path.readlink()}, which does not exist" if _is_link(path) else None
    except OSError as error:
        return "a link that leads back to itself" if error.errno == errno.ELOOP else None
    except ValueError:
        return "not a path, as it contains a zero byte"
    return next((words for is_kind, words in KINDS if is_kind(mode)), None)


def replace_file(path: Path, content: bytes, *, mode: int = PERSONAL, undo: Path | None = None) -> None:
    """Write a file atomically, as `replacing` does.

    Raises:
        InputError: what is at `path`, or at `undo`, is not a regular file.
        WorkError: it cannot be written; an older file is untouched.
    """
    with replacing(path, mode=mode, undo=undo) as file:
        file.write(content)


def replace_text(path: Path, text: str, *, mode: int = PERSONAL) -> None:
    """Write text in UTF-8 atomically; errors as `replace_file`."""
    replace_file(path, text.encode(), mode=mode)


@contextmanager
def replacing(path: Path, *, mode: int = PERSONAL, undo: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a new file that replaces `path` when the block ends; if the block fails, nothing changes.

    A library that requires a path may write to the file's `name` instead. The content is on the disk when this ends. A
    link is followed. An existing file keeps its mode, owner and access list, and other hard links keep the older
    content. If it cannot be renamed over, because it is a mount point, or if its owner cannot be kept, it is written in
    place.

    Parameters:
        mode: mode of a file that does not exist yet, before the umask.
        undo: path for the replaced file, on the same file system; it gets the same permissions.

    Raises:
        InputError: what is at `path`, or at `undo`, is not a regular file.
        WorkError: it cannot be written; an older file, and an older copy at `undo`, are untouched.
    """
    for each in (path, undo):
        if each and (found := what_is_no_file(each)):
            raise InputError(f"{each} is {found}: choose another path")
    target = behind_links(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target if target.exists() else None
        with _temporary(target) as temporary:
            with _create_next_to(target, temporary, mode if before is None else PERSONAL) as file:
                granted = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                yield file
            kept = _finish(temporary, before, granted)
            keeping = _keeping(target, undo) if undo and before else nullcontext()
            with keeping:
                _put(temporary, target, rename=kept)
    except MetaserError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def open_new(path: Path, *, mode: int = PERSONAL) -> BinaryIO:
    """Open a file that does not exist yet and grows while it is used, for writing and reading.

    Raises:
        FileExistsError: something is at `path`.
        WorkError: it cannot be written.
    """
    try:
        return _create(path, mode)
    except FileExistsError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def emptied(path: Path, *, mode: int = PERSONAL) -> Path:
    """The path of an empty file, for a library that requires a path and lets the file grow.

    Raises:
        InputError: what is at `path` is not a regular file.
        WorkError: it cannot be written.
    """
    _open_checked(path, "w+b", mode).close()
    return path


def open_to_append(path: Path, *, mode: int = PERSONAL) -> BinaryIO:
    """Open a file that grows while it is used, to write at its end.

    Raises:
        InputError: what is at `path` is not a regular file.
        WorkError: it cannot be written.
    """
    return _open_checked(path, "ab", mode)


def leftovers(path: Path) -> list[Path]:
    """Temporary files that killed processes left next to a file and next to its undo copy."""
    path = behind_links(path)
    return sorted(path.parent.glob(f".{escape(path.name)}.*.tmp")) if path.parent.is_dir() else []


def sweep(path: Path) -> None:
    """Delete what killed processes left of writing a file and its undo copy; no other process may be writing it.

    The copy of an unfinished write in place stays: it may be the only complete one.
    """
    path = behind_links(path)
    ours = re.compile(rf"\.{re.escape(path.name)}(\.undo)?\.[0-9a-f]{{8}}\.tmp")
    for each in leftovers(path):
        if ours.fullmatch(each.name):
            with suppress(OSError):
                each.unlink()


def sweep_below(folder: Path) -> None:
    """Delete what killed processes left of writing files below a folder; no other process may be writing there."""
    for path in folder.rglob(".*.tmp"):
        if TEMPORARY.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Yield a new name next to `target`; a file left under it when the block ends is deleted."""
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _create(path: Path, mode: int) -> BinaryIO:
    return open(path, "x+b", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, mode))


def _create_next_to(target: Path, temporary: Path, mode: int) -> BinaryIO:
    try:
        return _create(temporary, mode)
    except OSError as error:
        if error.errno in NOT_ALLOWED and target.exists():
            raise cannot_write(f"in {target.parent}, the folder of {target.name}", error) from error
        raise


def _open_checked(path: Path, how: Literal["w+b", "ab"], mode: int) -> BinaryIO:
    if found := what_is_no_file(path):
        raise InputError(f"{path} is {found}: choose another path")
    try:
        return open(path, how, opener=lambda name, flags: os.open(name, flags, mode))
    except OSError as error:
        raise cannot_write(path, error) from error


def _finish(temporary: Path, like: Path | None, mode: int) -> bool:
    """Set the permissions of a written file and flush it; return whether it now has the owner of `like`.

    The file is opened by name, as a library may have replaced it.
    """
    if like is None:
        set_mode(temporary, mode)
        kept = True
    else:
        kept = take_over(temporary, like)
    flush(temporary)
    return kept


def _put(temporary: Path, target: Path, *, rename: bool) -> None:
    """Replace `target` with a finished file, by renaming it if possible."""
    try:
        if rename:
            move_over(temporary, target)
    except OSError as error:
        if error.errno not in NO_RENAME:
            raise
        rename = False
    if not rename:
        overwrite(target, temporary)
    with suppress(OSError):
        unfinished(target).unlink(missing_ok=True)  # from an earlier write
    flush_folder(target.parent)


def _link_or_move(path: Path, to: Path) -> None:
    """Give a file a second name, so that the first always exists; on a file system without links, move it."""
    try:
        os.link(path, to)  # as with `os.replace`, which tests replace
    except OSError:
        move_over(path, to)


@contextmanager
def _keeping(target: Path, undo: Path) -> Iterator[None]:
    """Copy `target` to `undo`; if the block fails, put back what was at `undo` before, or its absence."""
    with _temporary(undo) as copy, _temporary(undo) as older:
        with _create(copy, PERSONAL) as file:
            file.write(target.read_bytes())
        _finish(copy, target, PERSONAL)
        there = undo.exists()
        try:
            if there:
                _link_or_move(undo, older)
            move_over(copy, undo)
            yield
        except BaseException:
            if older.exists():
                move_over(older, undo)
            elif not there:
                undo.unlink(missing_ok=True)
            raise
