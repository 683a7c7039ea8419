"""Writing the files of metaser: no other module opens a file for writing.

A file or a folder appears whole or not at all. Beside a file NAME there may be

    .NAME.RANDOM.tmp        what is being written; only a killed process leaves it, and `leftovers` finds it
    .NAME.unfinished.tmp    the content of a file that is being written in place, see `in_place`
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO, Literal

from metaser.runtime.errors import InputError, MetaserError, WorkError
from metaser.runtime.in_place import flush, overwrite, unfinished
from metaser.runtime.os_errors import cannot_write

PERSONAL = 0o600
"""The mode of new files that tell something of a person: their owner alone may read them."""

SHARED = 0o666
"""The mode of new files that are made to be passed on, such as bundles and results; the umask takes its part off."""

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
NO_RENAME = (errno.EBUSY, errno.EXDEV)
"""What renaming over a file that is a mount of its own gives."""

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def behind_links(path: Path) -> Path:
    """The file that a link leads to; the path itself if it is no link."""
    return Path(os.path.realpath(path)) if _is_link(path) else path


def _is_link(path: Path) -> bool:
    return os.path.islink(path)  # noqa: PTH114 # pathlib raises if the folder cannot be read


def what_is_no_file(path: Path) -> str | None:
    """In words, what is at `path` if that is neither a regular file, a link to one, nor nothing: "a folder"."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"a link to {path.readlink()}, which does not exist" if _is_link(path) else None
    except OSError as error:
        return "a link that leads back to itself" if error.errno == errno.ELOOP else None
    except ValueError:
        return "no path, as it holds a zero byte"
    return next((words for is_kind, words in KINDS if is_kind(mode)), None)


def replace_file(path: Path, content: bytes, *, mode: int = PERSONAL, undo: Path | None = None) -> None:
    """Write a file whole or not at all, as `replacing` does.

    Raises:
        InputError: what is at `path`, or at `undo`, is no regular file.
        WorkError: it cannot be written; an older file is untouched.
    """
    with replacing(path, mode=mode, undo=undo) as file:
        file.write(content)


def replace_text(path: Path, text: str, *, mode: int = PERSONAL) -> None:
    """Write text in UTF-8 whole or not at all; errors as `replace_file`."""
    replace_file(path, text.encode(), mode=mode)


@contextmanager
def replacing(path: Path, *, mode: int = PERSONAL, undo: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of `path` when the block ends; if the block fails nothing changes.

    A library that wants a path may write to the file's `name` instead. The content is on the disk when this ends. A
    link is followed. A file that exists keeps its mode, owner and access list, and other hard links keep the content of
    before. If it cannot be renamed over, because it is a mount of its own, or if its owner cannot be kept, it is
    written in place.

    Parameters:
        mode: of a file that does not exist yet, before the umask.
        undo: where to keep what is replaced, on the same file system and with the same rights.

    Raises:
        InputError: what is at `path`, or at `undo`, is no regular file.
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
            with _create_beside(target, temporary, mode if before is None else PERSONAL) as file:
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
    """Open a file that grows while it is used, for writing and reading; an older one is emptied.

    Raises:
        InputError: what is at `path` is no regular file.
        WorkError: it cannot be written.
    """
    return _open_checked(path, "w+b", mode)


def emptied(path: Path, *, mode: int = PERSONAL) -> Path:
    """The path of an empty file, for a library that lets it grow and wants a path.

    Raises:
        InputError: what is at `path` is no regular file.
        WorkError: it cannot be written.
    """
    open_new(path, mode=mode).close()
    return path


def open_to_append(path: Path, *, mode: int = PERSONAL) -> BinaryIO:
    """Open a file that grows while it is used, to write at its end.

    Raises:
        InputError: what is at `path` is no regular file.
        WorkError: it cannot be written.
    """
    return _open_checked(path, "ab", mode)


@contextmanager
def replacing_folder(folder: Path, what: object = None) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends; if the block fails nothing changes.

    Parameters:
        what: how messages call it, by default its path.

    Raises:
        InputError: what is at `folder` is no folder.
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
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
        except OSError as error:
            raise cannot_write(what, error) from error
        try:
            yield new
        except WorkError as error:
            if isinstance(error.__cause__, OSError):  # of a file in it
                raise cannot_write(what, error.__cause__) from error
            raise
        try:
            replace_folder(folder, new)
        except OSError as error:
            raise cannot_write(what, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def replace_folder(folder: Path, new: Path) -> None:
    """Rename the finished sibling `new` to `folder`; an older folder of that name is removed last.

    The older folder's mode and owner are kept, as far as this user may. A crash leaves the old folder whole, at worst
    under the name `.FOLDER.old`.

    Raises:
        OSError: the disk or the rights do not allow it.
    """
    for path in (*new.rglob("*"), new):
        flush(path)
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        _take_over(new, folder)
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    _flush_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def leftovers(path: Path) -> list[Path]:
    """What killed processes left beside a file, and beside its undo copy."""
    path = behind_links(path)
    return sorted(path.parent.glob(f".{escape(path.name)}.*.tmp")) if path.parent.is_dir() else []


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A new name beside `target`; what is left under it when the block ends is deleted."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _create(path: Path, mode: int) -> BinaryIO:
    return open(path, "x+b", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, mode))


def _create_beside(target: Path, temporary: Path, mode: int) -> BinaryIO:
    try:
        return _create(temporary, mode)
    except OSError as error:
        if error.errno in NOT_ALLOWED and target.exists():
            raise cannot_write(f"{target}, as its folder {target.parent}", error) from error
        raise


def _open_checked(path: Path, how: Literal["w+b", "ab"], mode: int) -> BinaryIO:
    if found := what_is_no_file(path):
        raise InputError(f"{path} is {found}: choose another path")
    try:
        return open(path, how, opener=lambda name, flags: os.open(name, flags, mode))
    except OSError as error:
        raise cannot_write(path, error) from error


def _finish(temporary: Path, like: Path | None, mode: int) -> bool:
    """Give a written file its rights and flush it; whether it now has the owner of `like`.

    By name, as a library may have put a file of its own there.
    """
    if like is None:
        _set_mode(temporary, mode)
        kept = True
    else:
        kept = _take_over(temporary, like)
    flush(temporary)
    return kept


def _take_over(new: Path, old: Path) -> bool:
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
        _set_mode(new, stat.S_IMODE(theirs.st_mode))
        _copy_attributes(old, new)
    else:
        _set_mode(new, stat.S_IMODE(theirs.st_mode) & ~stat.S_IRWXG)
    return kept


def _set_mode(path: Path, mode: int) -> None:
    """Set a file's mode, if it is another one: some file systems have one mode for all files and refuse."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _copy_attributes(old: Path, new: Path) -> None:
    """Copy the extended attributes, of which an access list is one, as far as the system has and allows them."""
    with suppress(OSError, AttributeError):
        for name in os.listxattr(old):
            with suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))


def _put(temporary: Path, target: Path, *, rename: bool) -> None:
    """Put a finished file in the place of `target`, by renaming it if that can be."""
    try:
        if rename:
            temporary.replace(target)
    except OSError as error:
        if error.errno not in NO_RENAME:
            raise
        rename = False
    if not rename:
        overwrite(target, temporary)
    with suppress(OSError):
        unfinished(target).unlink(missing_ok=True)  # of an earlier write, and older than this
    _flush_folder(target.parent)


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
                undo.rename(older)
            copy.replace(undo)
            yield
        except BaseException:
            if older.exists():
                older.replace(undo)
            elif not there:
                undo.unlink(missing_ok=True)
            raise


def _flush_folder(folder: Path) -> None:
    """Force a rename to the disk, if the folder can be read and its file system knows how."""
    try:
        flush(folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
