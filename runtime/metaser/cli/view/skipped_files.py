"""Files that are left out: as printed lines or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol

import typer

from metaser.cli.view.terminal import PlainConsole

LISTED = 20

StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail if a clip cannot be used, instead of leaving it out.")
]


class SkippedFile(Protocol):
    """A file or folder that is not used, and why."""

    @property
    def path(self) -> Path:
        """Its path."""

    @property
    def reason(self) -> str:
        """Why it is not used."""


def print_skipped(console: PlainConsole, skipped: Sequence[SkippedFile]) -> None:
    """Print one line per file, up to a limit."""
    for each in skipped[:LISTED]:
        console.print_line(f"  {each.path}: {each.reason}")
    if (more := len(skipped) - LISTED) > 0:
        console.print_line(f"  and {more} more; --json lists all")


def skipped_json(skipped: Sequence[SkippedFile]) -> list[dict[str, str]]:
    """All skipped files, for `--json`."""
    return [{"file": str(each.path), "reason": each.reason} for each in skipped]
