"""Locks between processes: the system releases a lock when its process ends for any reason."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from metaser.runtime.arguments import check
from metaser.runtime.errors import ProfileError, WorkError
from metaser.runtime.system.given_path import given_path
from metaser.runtime.system.os_errors import cannot_write
from metaser.runtime.system.user_folders import runtime_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

QUIET_S = 1.0
"""A shorter wait is not reported."""

PATIENCE_S = 120.0
"""It is an error if a profile is in use for longer."""

POLL_S = 0.02


@contextmanager
def profile_lock(
    path: str | Path, *, notify: Callable[[str], object] | None = None, patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Prevent other processes and threads of this user from changing a profile while the block reads and changes it.

    `Profile.save`, `undo` and `forget` take this lock themselves; take it around them to read, change and save without
    losing changes of others. A thread that holds it may take it again. Reading needs no lock.

        with profile_lock("me.safetensors"):
            profile = engine.open_profile("me.safetensors")
            engine.add(profile, "more/").save("me.safetensors")

    The lock is a file in the user's runtime folder, named by the sha256 of the profile's real path, so it also
    works through links. If there is no such folder, it is next to the profile.

    Parameters:
        notify: called with one line if another process holds the lock for more than a second.
        patience_s: how long to wait for that process, in seconds.

    Raises:
        ProfileError: `path` is not a path.
        InputError: `notify` is not a function, or `patience_s` is not a number of 0 or more.
        WorkError: another process held the lock for all that time, or no lock file can be written.
    """

    def tell() -> None:
        if notify:
            notify(f"another metaser process is changing {path}: waiting for it")

    check(notify=notify, patience_s=patience_s)
    lock = _take_profile_lock(given_path(path, "the profile", ProfileError), tell, patience_s)
    try:
        yield
    finally:
        lock.release()


def take(file: Path, tell: Callable[[], object], *, quiet_s: float, patience_s: float = -1) -> BaseFileLock:
    """Take the lock of a file, which is created if necessary; the caller has to release it.

    Parameters:
        tell: called once if the lock is not free after `quiet_s` seconds.
        patience_s: how long to wait after that; below 0 without limit.

    Raises:
        TimeoutError: it was not free for all that time.
        OSError: the file cannot be written, or its file system does not support locks.
    """
    from filelock import FileLock, Timeout  # imported here, as classifying does not need it

    lock = FileLock(file, is_singleton=True)  # one per path, so that a thread may take it again
    try:
        try:
            lock.acquire(timeout=quiet_s, poll_interval=POLL_S)
        except Timeout:
            tell()
            lock.acquire(timeout=patience_s, poll_interval=POLL_S)
    except NotImplementedError as error:
        raise OSError(None, "the file system does not support locks") from error
    return lock


def _take_profile_lock(path: Path, tell: Callable[[], object], patience_s: float) -> BaseFileLock:
    try:
        return take(_lock_file(path), tell, quiet_s=QUIET_S, patience_s=patience_s)
    except BrokenPipeError:  # from `tell`
        raise
    except TimeoutError as error:
        raise WorkError(
            f"another metaser process has been changing {path} for {patience_s:g} s: try again when it is done"
        ) from error
    except OSError as error:
        raise cannot_write(path, error) from error


def _lock_file(path: Path) -> Path:
    """A file in the user's own folder, else next to the profile, a folder that is written to anyway."""
    real = Path(os.path.realpath(path))
    name = f"{hashlib.sha256(os.fsencode(real)).hexdigest()}.lock"
    with suppress(WorkError, OSError):
        folder = runtime_folder() / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder / name
    return real.with_name(f".{name}")
