"""Convert a TOML table to a frozen dataclass, and check every key and type."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from metaser.runtime.errors import InputError
from metaser.runtime.system.os_errors import not_found
from metaser.runtime.system.user_folders import expand_home

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Made = TypeVar("Made")

LARGEST = 2**63 - 1
"""The largest integer that TOML guarantees and that NumPy and PyTorch accept."""

WORDS: Mapping[type, str] = {
    str: "text in quotes",
    Path: "a path in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        NotFoundError: there is no such file.
        InputError: it is not TOML.
    """
    if not path.is_file():
        raise not_found(path, "file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError covers those of tomllib and of UTF-8
        raise InputError(f"{path.name} is not TOML: {error}") from error


def to_dataclass(kind: type[Made], table: Mapping[str, Any], source: str) -> Made:
    """Build a dataclass from a table; nested dataclasses are nested tables. `source` names the file in messages.

    Raises:
        InputError: an unknown key (the message names the nearest known one), a missing required key, or a value of
            another type.
    """
    return _make(kind, table, source, "", list(_keys(kind)))


def _make(kind: type[Made], table: Mapping[str, Any], source: str, prefix: str, known: list[str]) -> Made:
    assert is_dataclass(kind)
    own = {entry.name: entry for entry in fields(kind)}
    hints = get_type_hints(kind)
    for key in table:
        if key not in own:
            raise InputError(f"{source}: there is no setting {prefix}{key}{_nearest(prefix + key, known)}")
    for name, entry in own.items():
        if name not in table and _needed(entry):
            raise InputError(f"{source}: {prefix}{name} is missing")
    values = {}
    for key, value in table.items():
        if is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise InputError(f"{source}: {prefix}{key} is a section, write it as [{prefix}{key}]")
            values[key] = _make(hints[key], value, source, f"{prefix}{key}.", known)
        else:
            values[key] = _convert(hints[key], value, f"{source}: {prefix}{key}")
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _convert(hint: Any, value: Any, name: str) -> Any:
    """Check a TOML value, and convert it to the declared type of a field."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:  # TOML has no null, so None only stands for a missing key
        return _convert(next(part for part in arguments if part is not type(None)), value, name)
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{name} is {value!r}: choose one of {', '.join(arguments)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError(f"{name} is {value!r} and must be a list")
        inner = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(inner) != len(value):
            raise InputError(f"{name} is {value!r} and must be a list of {len(inner)}")
        return tuple(_convert(part, item, name) for part, item in zip(inner, value, strict=True))
    if origin is not None:
        if not isinstance(value, dict):
            raise InputError(f"{name} is {value!r} and must be a table")
        return {key: _convert(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    accepted = {float: (int, float), Path: (str,)}.get(hint, (hint,))
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{name} is {value!r} and must be {WORDS[hint]}")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f"{name} is too large: whole numbers go up to {LARGEST}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} is {value} and must be finite")
    return expand_home(value) if hint is Path else hint(value)


def _keys(kind: Any, prefix: str = "") -> Iterator[str]:
    """All known keys, as `section.key`."""
    hints = get_type_hints(kind)
    for entry in fields(kind):
        yield f"{prefix}{entry.name}"
        if is_dataclass(hints[entry.name]):
            yield from _keys(hints[entry.name], f"{prefix}{entry.name}.")


def _nearest(name: str, known: list[str]) -> str:
    """`: did you mean ...?`, by the whole name, then by only the last part in any section."""
    section = name.rpartition(".")[0]
    known = [key for key in known if key != section]
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.75):
        return f": did you mean {close[0]}?"
    last = {key.rpartition(".")[2]: key for key in reversed(known)}
    if close := difflib.get_close_matches(name.rpartition(".")[2], last, n=1):
        return f": did you mean {last[close[0]]}?"
    siblings = [key for key in known if key.rpartition(".")[0] == section]
    return f": known are {', '.join(siblings)}"


def _needed(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING
