"""Paths as the user gives them: `~` is the home folder, even if no shell has expanded it.

A shell does not expand `--profile=~/p`. Neither do systemd or a container, which set variables from a file.
"""

from __future__ import annotations

import os
import shlex
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


def option_of(name: str, value: str | None) -> str:
    """The option as it is typed, ` --NAME VALUE`; nothing without a value, or if the environment has the same."""
    if value is None or given_by_environment(f"METASER_{name.upper()}") in (value, expanded(value)):
        return ""
    return f" --{name} {shlex.quote(value)}"


def name_or_folder(value: str | None) -> str | None:
    """Expand `~` in an option that takes a shipped name or a folder.

    Raises:
        InputError: it is empty; or as `expanded`.
    """
    if value == "":
        raise _empty("the bundle")
    return None if value is None else expanded(value)


def _empty(what: str) -> Exception:
    """The error for an empty path, as of a shell variable that is not set; it would be the current folder."""
    from metaser.runtime.errors import InputError

    return InputError(f"{what} is empty: give a path; is a variable of the shell not set?")


def profile_file(value: str | None) -> str | None:
    """Expand `~` in the path of a profile.

    Raises:
        InputError: it is empty or names a folder; or as `expanded`.
    """
    from metaser.runtime.system.command_line import use_profile_option

    use_profile_option(option_of("profile", value))
    if value is None:
        return None
    if os.path.basename(value) in ("", ".", ".."):  # noqa: PTH119 # pathlib drops a slash at the end
        from metaser.runtime.errors import InputError

        raise InputError(f"{value or 'an empty --profile'} is not a file name: give a file for the profile")
    return expanded(value)


def expand_in(command: Any) -> None:
    """Make a typer command expand `~` in all its path parameters, and refuse empty paths."""
    for parameter in command.params:
        if parameter.type.name == "path":
            parameter.type.convert = _expanding(parameter.type.convert)


def _expanding(convert: Any) -> Any:
    def converted(value: Any, parameter: Any, context: Any) -> Any:
        path = os.fspath(value)
        if path == "":
            raise _empty(parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar)
        return convert(expanded(path), parameter, context)

    return converted
