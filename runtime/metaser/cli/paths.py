"""Paths as people give them: `~` is the home folder, also if no shell has expanded it.

A shell leaves `--profile=~/p` as it is, and so does what sets variables from a file, such as systemd or a container.
"""

from __future__ import annotations

import os
from typing import Any


def expanded(path: str) -> str:
    """The path with the home folder in place of a leading `~` or `~user`; a file that is called so is left alone.

    Raises:
        InputError: there is no such home folder.
    """
    if not path.startswith("~") or (path[1:2] not in ("", "/") and os.path.lexists(path)):
        return path
    from metaser.runtime.system.user_folders import expand_home

    return str(expand_home(path))


def given_by_environment(name: str) -> str | None:
    """The path in an environment variable; an empty one counts as not set.

    Raises:
        InputError: it begins with `~` and there is no such home folder.
    """
    return expanded(value) if (value := os.environ.get(name)) else None


def name_or_folder(value: str | None) -> str | None:
    """Expand `~` in an option that takes a name of ours or a folder.

    Raises:
        InputError: as `expanded`.
    """
    return None if value is None else expanded(value)


def profile_file(value: str | None) -> str | None:
    """Expand `~` in the path of a profile.

    Raises:
        InputError: it is empty, or a folder's name; or as `expanded`.
    """
    if value is None:
        return None
    if os.path.basename(value) in ("", ".", ".."):  # noqa: PTH119 # pathlib drops a slash at the end
        from metaser.runtime.errors import InputError

        raise InputError(f"{value or 'an empty --profile'} names no file: give a file for the profile")
    return expanded(value)


def expand_in(command: Any) -> None:
    """Let a command of typer expand `~` in all that it takes as a path."""
    for parameter in command.params:
        if parameter.type.name == "path":
            parameter.type.convert = _expanding(parameter.type.convert)


def _expanding(convert: Any) -> Any:
    return lambda value, parameter, context: convert(expanded(os.fspath(value)), parameter, context)
