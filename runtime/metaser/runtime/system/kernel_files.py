"""Reading the small files in which Linux describes a machine and its state."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str | None:
    """The text of a kernel file, without the zero byte or newline at its end; None if it cannot be read.

    A sensor that is switched off answers EAGAIN, for which an unbuffered file reads None.
    """
    try:
        with path.open("rb", buffering=0) as file:
            content = file.read() or b""
    except OSError:
        return None
    return content.decode("utf-8", errors="replace").strip("\0\n ") or None


def read_number(path: Path) -> float | None:
    """The number in a kernel file; None if there is none."""
    try:
        return float(read_text(path) or "")
    except ValueError:
        return None
