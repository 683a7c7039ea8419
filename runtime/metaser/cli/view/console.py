"""What is printed without rich: plain lines, errors and JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

STANDARD_ERROR = 2
JOINERS = "\u200c\u200d"  # zero-width, within words in Persian and Hindi and within emoji
GAP = 2  # between the columns of a table


def print_status(line: str) -> None:
    """Print a line about slow work that has to happen first; standard output is for results."""
    sys.stderr.write(plain(line) + "\n")
    sys.stderr.flush()


def plain(text: object) -> str:
    r"""Text for one line of a terminal or file: control characters in names and labels become `\n` or `\x1b`."""
    return "".join(
        letter if letter.isprintable() or letter in JOINERS else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )


def print_error(error: object) -> None:
    """Print an error in one line on standard error; if nobody can read that, the exit code still says it."""
    with suppress(OSError):
        sys.stderr.write(f"metaser: {plain(error)}\n")
        sys.stderr.flush()


def print_json(**values: Any) -> None:
    """Print one JSON object in one line, at once."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def flush_or_drop(output: TextIO) -> None:
    """Flush a standard output; what nobody takes is dropped, or the interpreter complains about it at its end."""
    try:
        output.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def flush_or_drop_stdout() -> None:
    """Flush what was printed, or drop it if nobody takes it."""
    flush_or_drop(sys.stdout)


def can_ask() -> bool:
    """Whether there is somebody at standard input who can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what ALSA and PortAudio write to standard error, past Python, off the screen; our lines still get there."""
    try:
        usual = sys.stderr.fileno() == STANDARD_ERROR
    except OSError:  # it is no file
        usual = False
    if not usual:
        yield
        return
    before = sys.stderr
    before.flush()
    ours = os.dup(STANDARD_ERROR)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), STANDARD_ERROR)
    sys.stderr = os.fdopen(ours, "w", buffering=1, encoding=before.encoding, errors="backslashreplace")
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(ours, STANDARD_ERROR)
        sys.stderr.close()
        sys.stderr = before


def percent(share: float) -> str:
    """0.934 -> "93 %"."""
    return f"{100 * share:.0f} %"
