"""Checking path arguments."""

from __future__ import annotations

import os
from pathlib import Path

from metaser.runtime.errors import InputError
from metaser.runtime.words import kind_of


def given_path(given: object, what: str, error: type[InputError] = InputError, wanted: str = "a path") -> Path:
    """The path that was given for `what`, for which `wanted` is accepted.

    Raises:
        InputError: of the type `error`: it is not a path, or is empty, which would be the current folder.
    """
    if isinstance(given, (str, os.PathLike)):
        path = os.fspath(given)
        if path == "":
            raise error(f"{what} is an empty path: give {wanted}")
        if isinstance(path, str):
            return Path(path)
    raise error(f"{what} is {kind_of(given)}: give {wanted}")
