"""Standard input and paths that are pipes: `-`, `/dev/stdin`, a FIFO or the shell's `<(...)`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STANDARD_INPUT = "-"


def is_pipe(file: str) -> bool:
    """Whether FILE can only be read once, from start to end."""
    if file == STANDARD_INPUT:
        return True
    try:
        mode = Path(file).stat().st_mode
    except (OSError, ValueError):  # the reader reports why
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


@contextmanager
def open_pipe(file: str) -> Iterator[int]:
    """Open standard input or a pipe; yields its descriptor.

    Raises:
        InputError: it is closed, a terminal, or a device without audio.
        AudioError: it cannot be opened.
    """
    from metaser.runtime import AudioError, InputError

    if file == STANDARD_INPUT:
        yield standard_input()
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise AudioError(f"{file} cannot be read ({error.strerror}): give another file or pipe") from error
    try:
        _check_no_terminal(descriptor, file)
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            raise InputError(f"{file} is a device: give --mic, a FILE or a pipe")
        yield descriptor
    finally:
        os.close(descriptor)


def standard_input(instead: str = "give --mic or a FILE") -> int:
    """The descriptor of standard input; `instead` names the alternative in error messages.

    Raises:
        InputError: it is a terminal, or it is closed and another file may have its descriptor.
    """
    from metaser.runtime import InputError

    if sys.stdin is None:
        raise InputError(f"standard input is closed: pipe sound into it, or {instead}")
    _check_no_terminal(sys.stdin.fileno(), "standard input", instead)
    return sys.stdin.fileno()


def _check_no_terminal(descriptor: int, name: str, instead: str = "give --mic or a FILE") -> None:
    from metaser.runtime import InputError

    if os.isatty(descriptor):
        raise InputError(
            f"{name} is a terminal: pipe sound into it (arecord -q -f S16_LE -r 16000 -c 1 -t raw | metaser stream -), "
            f"or {instead}"
        )
