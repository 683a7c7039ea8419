"""Open the profile of a command that labels, with a warning if its labels cannot be relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaser.cli.view.console import print_status

if TYPE_CHECKING:
    from pathlib import Path

    from metaser.cli.options import Unknown
    from metaser.runtime import Engine, Profile


def open_profile(engine: Engine, path: Path, unknown: Unknown, *, accept_precision: bool) -> Profile:
    """Open a profile with a rule for the answer unknown, and print on standard error if it is not reliable.

    Raises:
        NotFoundError, ProfileError: as `Engine.open_profile`.
    """
    profile = engine.open_profile(path, accept_precision=accept_precision).answering(unknown.value)
    print_hint(engine.hint(profile))
    return profile


def print_hint(hint: str | None) -> None:
    """Print the hint of a profile, that its labels cannot be relied on, on standard error, if there is one."""
    from metaser.runtime.system.command_line import command_line

    if hint:
        print_status(f"{hint} `{command_line('enroll --report')}` shows what to do.")
