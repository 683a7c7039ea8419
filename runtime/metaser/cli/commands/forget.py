"""`metaser forget`: delete a profile and its undo copy."""

import os
from typing import Annotated

import typer

from metaser.cli.options import ProfileOption, profile_path
from metaser.cli.view.console import can_ask
from metaser.cli.view.terminal import console_for
from metaser.runtime.words import plain


def forget(
    profile: ProfileOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete the profile and the copy that is kept for undo.

    Afterwards metaser stores nothing of the clips in this profile. The audio files themselves are not touched. If the
    profile is a link, its target is deleted too.
    """
    from metaser.runtime import InputError
    from metaser.runtime import forget as delete
    from metaser.runtime.enrolment.profile_file import check_is_profile, undo_path
    from metaser.runtime.system.files import behind_links

    path = profile_path(profile)
    check_is_profile(behind_links(path))
    if not yes and (path.is_file() or undo_path(path).is_file()):
        if not can_ask():
            from metaser.runtime.system.command_line import command_line

            raise InputError(
                "standard input is not a terminal, so metaser cannot ask: "
                f"`{command_line('forget --yes')}` deletes {path} without asking"
            )
        if not typer.confirm(f"Delete the profile {plain(path)} and its undo copy?"):
            console_for(as_json=False).print_line("Nothing was deleted.")
            return
    for file in delete(path):
        emptied = os.path.lexists(file)
        console_for(as_json=False).print_line(
            f"Emptied {file}, which is a mount point and cannot be deleted" if emptied else f"Deleted {file}"
        )
