"""The folders of this user, also if the user has no home folder or cannot write to it.

| folder | content | path | without a writable home folder |
|---|---|---|---|
| data | the profile | `$XDG_DATA_HOME`, else below the home | an error, as enrolled clips must not be lost |
| cache | what can be computed again | `$XDG_CACHE_HOME`, else below the home | a private temporary folder |
| state | licences that were shown | `$XDG_STATE_HOME`, else below the home | a private temporary folder |
| runtime | lock files | `$XDG_RUNTIME_DIR`, else `/run/user/UID` | a private temporary folder |

The home folder is `$HOME`, or that of the user's passwd entry. A container that runs as `--user 12345` has neither, or
has `HOME=/`, which is not writable.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from metaser.runtime.errors import InputError, WorkError

NAME = "metaser"
RUNTIME_FOLDERS = Path("/run/user")
"""The system's runtime folders, one per user id."""


def data_folder() -> Path:
    """The folder of the user's profile; it need not exist yet.

    Raises:
        InputError: the user has no home folder.
    """
    from platformdirs import user_data_path

    folder = _below_home(user_data_path)
    if folder is None:
        raise InputError("no home folder to keep a profile in: give --profile FILE, or set METASER_PROFILE or HOME")
    return folder


def default_profile() -> Path:
    """The default profile file; it need not exist yet.

    Raises:
        InputError: the user has no home folder.
    """
    return data_folder() / "profile.safetensors"


def cache_folder() -> Path:
    """The folder of data that can be computed again; it need not exist yet.

    Raises:
        WorkError: there is neither a home folder nor a temporary folder that only this user can write to.
    """
    from platformdirs import user_cache_path

    return _found_or_private(_below_home(user_cache_path), "XDG_CACHE_HOME", "cache")


def state_folder() -> Path:
    """The folder of data about earlier runs; it need not exist yet.

    Raises:
        WorkError: as `cache_folder`.
    """
    from platformdirs import user_state_path

    return _found_or_private(_below_home(user_state_path), "XDG_STATE_HOME", "state")


def runtime_folder() -> Path:
    """The folder of files that only running processes need, such as locks; it need not exist yet.

    Raises:
        WorkError: as `cache_folder`.
    """
    given = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    for folder in (given, RUNTIME_FOLDERS / str(os.getuid())):
        if folder.is_absolute() and _is_private(folder):
            return folder / NAME
    return _private("runtime")


def expand_home(path: str | Path) -> Path:
    """The path with the home folder in place of a leading `~` or `~user`.

    Raises:
        InputError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: no home folder is known for {Path(path).parts[0]}: give the whole path") from error


def can_write(path: Path) -> bool:
    """Whether this process may write `path`, or create it in the nearest existing folder above it."""
    found = path.absolute()
    while not os.path.lexists(found):  # also for a folder that cannot be searched
        found = found.parent
    if found == path.absolute() and not found.is_dir():
        return os.access(found, os.W_OK)
    return found.is_dir() and os.access(found, os.W_OK | os.X_OK)


def _below_home(find: Callable[[str], Path]) -> Path | None:
    """The folder by platformdirs; None without a home folder, for which some versions raise and others give `~`."""
    try:
        folder = find(NAME)
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None


def _found_or_private(folder: Path | None, variable: str, name: str) -> Path:
    """The folder if a variable sets it, if its content can be read, or if it can be created."""
    if folder and (variable in os.environ or os.access(folder, os.R_OK | os.X_OK) or can_write(folder)):
        return folder
    return _private(name)


def _private(name: str) -> Path:
    """A temporary folder that only this user can write to; created at once, before another user can create it."""
    try:
        folder = Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"
        folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    except OSError as error:
        raise WorkError(f"no folder for temporary files ({error.strerror}): set HOME or TMPDIR to one") from error
    if not _is_private(folder):
        raise WorkError(f"{folder} belongs to another user, or others can write it: set HOME or TMPDIR to your own")
    return folder / name


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, not a link, that belongs to this user and that nobody else can write to."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & others
