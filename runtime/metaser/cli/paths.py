"""Paths as the user gives them: `~` is the home folder, even if no shell has expanded it.

A shell does not expand `--profile=~/p`. Neither do systemd or a container, which set variables from a file.
"""

from __future__ import annotations

import os
from typing import Any


def expanded(path: str) -> str:
    """The path with a leading `~` or `~user` replaced by the home folder; an existing file of that name is kept.

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
    """Expand `~` in an option that takes a shipped name or a folder.

    Raises:
        InputError: as `expanded`.
    """
    return None if value is None else expanded(value)


def profile_file(value: str | None) -> str | None:
    """Expand `~` in the path of a profile.

    Raises:
        InputError: it is empty or names a folder; or as `expanded`.
    """
    if value is None:
        return None
    if os.path.basename(value) in ("", ".", ".."):  # noqa: PTH119 # pathlib drops a slash at the end
        from metaser.runtime.errors import InputError

        raise InputError(f"{value or 'an empty --profile'} is not a file name: give a file for the profile")
    return expanded(value)


def expand_in(command: Any) -> None:
    """Make a typer command expand `~` in all its path parameters."""
    for parameter in command.params:
        if parameter.type.name == "path":
            parameter.type.convert = _expanding(parameter.type.convert)


def _expanding(convert: Any) -> Any:
    return lambda value, parameter, context: convert(expanded(os.fspath(value)), parameter, context)
