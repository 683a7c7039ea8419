"""Locks between processes: the system frees one when the process that holds it ends, however it ends."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.runtime.errors import ProfileError, WorkError
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.os_errors import cannot_write
from metaser.runtime.system.user_folders import runtime_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

QUIET_S = 1.0
"""A wait that is over sooner is not reported."""

PATIENCE_S = 120.0
"""A profile that is in use for longer is reported as an error."""

POLL_S = 0.02


@contextmanager
def profile_lock(
    path: str | Path, *, notify: Callable[[str], object] | None = None, patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Keep every other process and thread of this user from changing a profile while the block reads and changes it.

    `Profile.save`, `undo` and `forget` take this lock themselves; take it around them to read, change and save with
    nothing lost in between. A thread that holds it may take it again. Reading needs no lock.

        with profile_lock("me.safetensors"):
            profile = engine.open_profile("me.safetensors")
            engine.add(profile, clips).save("me.safetensors")

    The lock is a file in the user's runtime folder, named by the sha256 of the profile's real path, so it holds behind
    links as well. If there is no such folder it lies beside the profile.

    Parameters:
        notify: hears one line if another process holds the lock for more than a second.
        patience_s: how long to wait for that process, in seconds.

    Raises:
        ProfileError: `path` is no path.
        WorkError: another process held the lock for all that time, or no lock file can be written.
    """

    def tell() -> None:
        if notify:
            notify(f"another metaser process is changing {path}: waiting for it")

    lock = _take_profile_lock(given_path(path, "the profile", ProfileError), tell, patience_s)
    try:
        yield
    finally:
        lock.release()


def take(file: Path, tell: Callable[[], object], *, quiet_s: float, patience_s: float = -1) -> BaseFileLock:
    """Take the lock of a file, which is made if it must be; the caller has to release it.

    Parameters:
        tell: is called once if the lock is not free after `quiet_s` seconds.
        patience_s: how long to wait after that; below 0 for ever.

    Raises:
        TimeoutError: it was not free for all that time.
        OSError: the file cannot be written, or its file system knows no locks.
    """
    from filelock import FileLock, Timeout  # for changes alone: classifying has no need of it

    lock = FileLock(file, is_singleton=True)  # one per path, so that a thread may take it again
    try:
        try:
            lock.acquire(timeout=quiet_s, poll_interval=POLL_S)
        except Timeout:
            tell()
            lock.acquire(timeout=patience_s, poll_interval=POLL_S)
    except NotImplementedError as error:
        raise OSError(None, "the file system knows no locks") from error
    return lock


def _take_profile_lock(path: Path, tell: Callable[[], object], patience_s: float) -> BaseFileLock:
    try:
        return take(_lock_file(path), tell, quiet_s=QUIET_S, patience_s=patience_s)
    except BrokenPipeError:  # of `tell`
        raise
    except TimeoutError as error:
        raise WorkError(
            f"another metaser process has been changing {path} for {patience_s:g} s: try again when it is done"
        ) from error
    except OSError as error:
        raise cannot_write(path, error) from error


def _lock_file(path: Path) -> Path:
    """A file in the user's own folder, else beside the profile, where something has to be written anyway."""
    real = Path(os.path.realpath(path))
    name = f"{hashlib.sha256(os.fsencode(real)).hexdigest()}.lock"
    with suppress(WorkError, OSError):
        folder = runtime_folder() / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder / name
    return real.with_name(f".{name}")
