"""Output without rich: plain lines, errors and JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

STANDARD_ERROR = 2
GAP = 2  # between the columns of a table


def print_status(line: str) -> None:
    """Print a status line on standard error; standard output is for results."""
    from metaser.runtime.system.quiet_stderr import STDERR_LOCK  # help does not load the runtime
    from metaser.runtime.words import plain

    with STDERR_LOCK:
        sys.stderr.write(plain(line) + "\n")
        sys.stderr.flush()


def print_error(error: object) -> None:
    """Print an error as one line on standard error; if that fails, only the exit code reports it."""
    from metaser.runtime.system.quiet_stderr import STDERR_LOCK
    from metaser.runtime.words import plain

    with suppress(OSError), STDERR_LOCK:
        sys.stderr.write(f"metaser: {plain(error)}\n")
        sys.stderr.flush()


def print_json(**values: Any) -> None:
    """Print one JSON object on one line and flush it."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def flush_or_drop(output: TextIO) -> None:
    """Flush a standard stream; if that fails, drop its output, or the interpreter reports an error at exit."""
    try:
        output.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def flush_or_drop_stdout() -> None:
    """Flush standard output, or drop its output if that fails."""
    flush_or_drop(sys.stdout)


def can_ask() -> bool:
    """Whether standard input is a terminal, so that the user can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide what ALSA and PortAudio write directly to standard error; our own lines are still printed."""
    try:
        usual = sys.stderr.fileno() == STANDARD_ERROR
    except OSError:  # not a real file
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
