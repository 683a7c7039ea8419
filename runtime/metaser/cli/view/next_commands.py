"""The commands to run after enrolment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaser.cli.paths import option_of

if TYPE_CHECKING:
    from metaser.cli.view.terminal import PlainConsole


def print_next(console: PlainConsole, options: str) -> None:
    """Print the commands that use a profile."""
    console.print_line(f"Next:  metaser classify clip.wav{options}", style="bold")
    console.print_line(f"       metaser stream recording.wav{options}", style="bold")
    console.print_line(f"       metaser test new_clips/{options}", style="bold")


def next_options(profile: str | None, bundle: str | None) -> str:
    """The options that make the next command use the same profile and bundle; a profile names a shipped bundle."""
    from metaser.runtime.bundles.bundle import shipped_bundles

    return option_of("profile", profile) + option_of("bundle", None if bundle in shipped_bundles() else bundle)
